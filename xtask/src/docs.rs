//! Documents that are written from the code: each generated part stands between two markers in its page.

use std::fs;
use std::path::Path;

use fanfare_protocol::codes;
use fanfare_protocol::dialect::centrifuge;

use crate::limits;

/// Writes every generated part anew; gives those that changed.
pub(crate) fn write(root: &Path) -> Result<Vec<String>, String> {
    let mut changed = Vec::new();
    for part in parts(root)? {
        if let Some(new) = part.renewed(root)? {
            let path = root.join(part.page);
            fs::write(&path, new).map_err(|error| format!("{}: {error}", path.display()))?;
            changed.push(part.to_string());
        }
    }
    Ok(changed)
}

/// The generated parts that are not what the code says.
pub(crate) fn stale(root: &Path) -> Result<Vec<String>, String> {
    let mut stale = Vec::new();
    for part in parts(root)? {
        if part.renewed(root)?.is_some() {
            stale.push(part.to_string());
        }
    }
    Ok(stale)
}

/// A part of a page and what it should say.
struct Part {
    page: &'static str,
    name: &'static str,
    text: String,
}

fn parts(root: &Path) -> Result<Vec<Part>, String> {
    let example = "examples/ten_lines/index.html";
    let page = fs::read_to_string(root.join(example)).map_err(|error| format!("{example}: {error}"))?;
    let snippet = format!("```html\n{page}```\n");
    let mut parts = vec![
        Part {
            page: "docs/protocol/json.md",
            name: "error codes",
            text: codes::error_table(),
        },
        Part {
            page: "docs/protocol/json.md",
            name: "disconnect codes",
            text: codes::disconnect_table(),
        },
        Part {
            page: "docs/operating/close-codes.md",
            name: "disconnect codes",
            text: codes::disconnect_table(),
        },
        Part {
            page: "docs/centrifuge.md",
            name: "error codes",
            text: centrifuge::error_table(),
        },
        Part {
            page: "docs/centrifuge.md",
            name: "disconnect codes",
            text: centrifuge::disconnect_table(),
        },
        Part {
            page: "README.md",
            name: "ten lines",
            text: snippet.clone(),
        },
        Part {
            page: "README.zh-CN.md",
            name: "ten lines",
            text: snippet,
        },
    ];
    for (name, file, of) in limits::TABLES {
        parts.push(Part {
            page: "docs/operating/limits.md",
            name,
            text: limits::table(root, file, of)?,
        });
    }
    Ok(parts)
}

impl Part {
    /// The page with this part renewed; `None` when it is up to date.
    fn renewed(&self, root: &Path) -> Result<Option<String>, String> {
        let Self { page, name, text } = self;
        let old = fs::read_to_string(root.join(page)).map_err(|error| format!("{page}: {error}"))?;
        let begin = format!("<!-- generated: {name} -->\n");
        let missing = || format!("{page} has no part `{name}` with its end");
        let from = old.find(&begin).ok_or_else(missing)? + begin.len();
        let to = from + old[from..].find("<!-- end -->").ok_or_else(missing)?;
        let new = format!("{}{text}{}", &old[..from], &old[to..]);
        Ok((new != old).then_some(new))
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.page, self.name)
    }
}
