//! Documents that are written from the code: each generated part stands between two markers in its page.

use std::fs;
use std::path::Path;

use fanfare_protocol::codes;

/// Writes every generated part anew; gives the pages that changed.
pub(crate) fn write(root: &Path) -> Result<Vec<String>, String> {
    let json = "docs/protocol/json.md";
    let mut changed = Vec::new();
    for (page, part, text) in [
        (json, "error codes", codes::error_table()),
        (json, "disconnect codes", codes::disconnect_table()),
    ] {
        if replace(&root.join(page), part, &text)? {
            changed.push(format!("{page}: {part}"));
        }
    }
    Ok(changed)
}

/// Replaces what stands between `<!-- generated: PART -->` and `<!-- end -->`; says whether that changed the page.
fn replace(page: &Path, part: &str, text: &str) -> Result<bool, String> {
    let old = fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    let begin = format!("<!-- generated: {part} -->\n");
    let missing = || format!("{} has no part `{part}` with its end", page.display());
    let from = old.find(&begin).ok_or_else(missing)? + begin.len();
    let to = from + old[from..].find("<!-- end -->").ok_or_else(missing)?;
    let new = format!("{}{text}{}", &old[..from], &old[to..]);
    if new == old {
        return Ok(false);
    }
    fs::write(page, new).map_err(|error| format!("{}: {error}", page.display()))?;
    Ok(true)
}
