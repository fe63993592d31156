//! Filters on tags, as clients write them.

use super::request::FilterNode;
use crate::{Comparison, FILTER_DEPTH_MAX, FILTER_NODES_MAX, FILTER_VALUES_MAX, Number, Order, TagFilter};

/// The filter that a tree is.
///
/// # Errors
/// The rule that the tree breaks.
pub(super) fn of(tree: &FilterNode) -> Result<TagFilter, &'static str> {
    let filter = node(tree, FILTER_DEPTH_MAX)?;
    if filter.nodes() > FILTER_NODES_MAX {
        return Err("the filter has more than 64 parts, ask for less");
    }
    Ok(filter)
}

fn node(tree: &FilterNode, depth: usize) -> Result<TagFilter, &'static str> {
    let depth = depth
        .checked_sub(1)
        .ok_or("the filter is more than 8 deep, ask for less")?;
    if tree.nodes.len() > FILTER_NODES_MAX {
        return Err("the filter has more than 64 parts, ask for less");
    }
    let nodes = || -> Result<Vec<_>, _> { tree.nodes.iter().map(|tree| node(tree, depth)).collect() };
    match (&*tree.op, &*tree.nodes) {
        ("", []) => comparison(tree),
        ("and", [_, ..]) => nodes().map(TagFilter::All),
        ("or", [_, ..]) => nodes().map(TagFilter::Any),
        ("not", [one]) => Ok(TagFilter::Not(Box::new(node(one, depth)?))),
        _ => Err("`op` is `and` or `or` with parts, `not` with one, or nothing where a tag is compared"),
    }
}

fn comparison(tree: &FilterNode) -> Result<TagFilter, &'static str> {
    if tree.key.is_empty() {
        return Err("`key` is missing, it is the name of a tag");
    }
    if tree.vals.len() > FILTER_VALUES_MAX {
        return Err("a tag is compared with more than 64 values, ask for less");
    }
    let value = || Box::from(&*tree.val);
    let values = || tree.vals.iter().map(|value| Box::from(&**value)).collect();
    let number = |order| {
        let number = Number::parse(&tree.val);
        let number = number.ok_or("`val` is compared as a number and is none");
        number.map(|number| Comparison::Number(order, number))
    };
    let (is, is_negated) = match &*tree.cmp {
        "eq" => (Comparison::OneOf(vec![value()]), false),
        "neq" => (Comparison::OneOf(vec![value()]), true),
        "in" => (Comparison::OneOf(values()), false),
        "nin" => (Comparison::OneOf(values()), true),
        "ex" => (Comparison::Exists, false),
        "nex" => (Comparison::Exists, true),
        "sw" => (Comparison::StartsWith(value()), false),
        "ew" => (Comparison::EndsWith(value()), false),
        "ct" => (Comparison::Contains(value()), false),
        "lt" => (number(Order::Less)?, false),
        "lte" => (number(Order::AtMost)?, false),
        "gt" => (number(Order::Greater)?, false),
        "gte" => (number(Order::AtLeast)?, false),
        _ => return Err("`cmp` is one of eq, neq, in, nin, ex, nex, sw, ew, ct, lt, lte, gt, gte"),
    };
    let filter = TagFilter::Tag {
        name: Box::from(&*tree.key),
        is,
    };
    Ok(if is_negated {
        TagFilter::Not(Box::new(filter))
    } else {
        filter
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tags;

    fn read(text: &str) -> Result<TagFilter, &'static str> {
        of(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_tree_is_a_filter() {
        let tags = Tags::parse([("kind", "goal"), ("minute", "67")]).unwrap();
        for (text, expected) in [
            (r#"{"key":"kind","cmp":"eq","val":"goal"}"#, true),
            (r#"{"key":"kind","cmp":"neq","val":"goal"}"#, false),
            (r#"{"key":"team","cmp":"neq","val":"red"}"#, true),
            (r#"{"key":"kind","cmp":"in","vals":["card","goal"]}"#, true),
            (r#"{"key":"kind","cmp":"nin","vals":["card","goal"]}"#, false),
            (r#"{"key":"team","cmp":"ex"}"#, false),
            (r#"{"key":"team","cmp":"nex"}"#, true),
            (r#"{"key":"kind","cmp":"sw","val":"g"}"#, true),
            (r#"{"key":"kind","cmp":"ew","val":"g"}"#, false),
            (r#"{"key":"kind","cmp":"ct","val":"oa"}"#, true),
            (r#"{"key":"minute","cmp":"lt","val":"67"}"#, false),
            (r#"{"key":"minute","cmp":"lte","val":"67"}"#, true),
            (r#"{"key":"minute","cmp":"gt","val":"9"}"#, true),
            (r#"{"key":"minute","cmp":"gte","val":"67.5"}"#, false),
            (
                r#"{"op":"and","nodes":[{"key":"kind","cmp":"ex"},{"op":"not","nodes":[{"key":"team","cmp":"ex"}]}]}"#,
                true,
            ),
            (
                r#"{"op":"or","nodes":[{"key":"team","cmp":"ex"},{"key":"minute","cmp":"eq","val":"1"}]}"#,
                false,
            ),
        ] {
            assert_eq!(read(text).unwrap().matches(tags.as_ref()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_rule() {
        let leaf = r#"{"key":"a","cmp":"ex"}"#;
        let deep = (0..9).fold(leaf.to_owned(), |inner, _| {
            format!(r#"{{"op":"not","nodes":[{inner}]}}"#)
        });
        let wide = format!(r#"{{"op":"or","nodes":[{}]}}"#, vec![leaf; 64].join(","));
        let full = format!(r#"{{"op":"or","nodes":[{}]}}"#, vec![leaf; 63].join(","));
        assert!(read(&full).is_ok());
        let values = format!(
            r#"{{"key":"a","cmp":"in","vals":[{}]}}"#,
            vec![r#""x""#; 65].join(",")
        );
        for (text, rule) in [
            ("{}", "`key` is missing"),
            (r#"{"key":"a","cmp":"like"}"#, "`cmp` is one of"),
            (r#"{"key":"a","cmp":"lt","val":"x"}"#, "is none"),
            (r#"{"op":"xor","nodes":[]}"#, "`op` is"),
            (r#"{"op":"and"}"#, "`op` is"),
            (&*format!(r#"{{"op":"not","nodes":[{leaf},{leaf}]}}"#), "`op` is"),
            (
                &*format!(r#"{{"key":"a","cmp":"ex","nodes":[{leaf}]}}"#),
                "`op` is",
            ),
            (&deep, "8 deep"),
            (&wide, "64 parts"),
            (&values, "64 values"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(rule), "{text}: {error}");
        }
    }
}
