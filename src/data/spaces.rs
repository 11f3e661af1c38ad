//! Gymnasium's spaces as Minari writes them down in JSON, flattened into a vector.
//!
//! The order is that of `gymnasium.spaces.flatten`: of a Dict the keys sorted as Python sorts texts (by code point), of a Tuple the
//! parts in order, of a Box the entries in C order (the last index runs fastest), and so on within each other.

use serde_json::{Map, Value};

/// One array of a flattened space.
#[derive(Debug, PartialEq)]
pub(super) struct Leaf {
    /// Where Minari stores it below `observations` or `actions`: "", "/goal", "/_index_0/goal".
    pub(super) place: String,
    /// Its numbers per row.
    pub(super) width: usize,
    /// The bounds of each number, `None` where it has none.
    pub(super) low: Vec<Option<f64>>,
    pub(super) high: Vec<Option<f64>>,
}

/// Returns the arrays of a space, in the order in which they are flattened.
///
/// # Errors
/// With the reason, for spaces that are not made of numbers.
pub(super) fn leaves(text: &str) -> Result<Vec<Leaf>, String> {
    let space = serde_json::from_str(&without_infinities(text))
        .map_err(|error| format!("it is no JSON: {error}"))?;
    let mut leaves = Vec::new();
    collect(&space, String::new(), &mut leaves)?;
    if leaves.iter().all(|leaf| leaf.width == 0) {
        return Err("it holds no numbers".to_string());
    }
    Ok(leaves)
}

/// Returns JSON as Python writes it, which has numbers that JSON has not, with null in their place.
fn without_infinities(text: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::with_capacity(text.len()), false, false);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let foreign = ["-Infinity", "Infinity", "NaN"];
        if let (false, Some(word)) = (
            quoted,
            foreign.into_iter().find(|word| rest.starts_with(word)),
        ) {
            out.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        out.push(character);
        rest = &rest[character.len_utf8()..];
    }
    out
}

fn collect(space: &Value, place: String, leaves: &mut Vec<Leaf>) -> Result<(), String> {
    let at = if place.is_empty() { "it" } else { &place };
    let field = |name: &str| (space.get(name)).ok_or_else(|| format!("{at} has no `{name}`"));
    match field("type")?.as_str().unwrap_or_default() {
        "Box" => {
            leaves.push(box_leaf(space, &place)?);
            Ok(())
        }
        "MultiBinary" => {
            let width = product(field("n")?)
                .ok_or_else(|| format!("{at} has a size that is no whole number"))?;
            leaves.push(Leaf {
                low: vec![Some(0.0); width],
                high: vec![Some(1.0); width],
                place,
                width,
            });
            Ok(())
        }
        "Dict" => {
            let parts = field("subspaces")?.as_object().cloned();
            let mut parts: Vec<_> = parts
                .unwrap_or_else(Map::new)
                .into_iter()
                .collect::<Vec<_>>();
            parts.sort_by(|left, right| left.0.cmp(&right.0));
            (parts.iter())
                .try_for_each(|(key, part)| collect(part, format!("{place}/{key}"), leaves))
        }
        "Tuple" => {
            let parts = field("subspaces")?.as_array().cloned().unwrap_or_default();
            (parts.iter().enumerate()).try_for_each(|(index, part)| {
                collect(part, format!("{place}/_index_{index}"), leaves)
            })
        }
        other => Err(format!(
            "{at} is a {other} space; expected vectors of real numbers: Box, MultiBinary, and Dict or Tuple of them"
        )),
    }
}

fn box_leaf(space: &Value, place: &str) -> Result<Leaf, String> {
    let at = if place.is_empty() { "it" } else { place };
    let shape = space.get("shape").and_then(Value::as_array);
    let kind = space.get("dtype").and_then(Value::as_str).unwrap_or("");
    if kind == "uint8" && shape.is_some_and(|shape| shape.len() > 1) {
        return Err(format!(
            "{at} is pictures; expected vectors of real numbers"
        ));
    }
    let width = space.get("shape").and_then(product);
    let width = width.ok_or_else(|| format!("{at} has no shape"))?;
    let side = |name: &str| {
        let mut numbers = Vec::new();
        if let Some(value) = space.get(name) {
            flat(value, &mut numbers);
        }
        if numbers.len() == 1 {
            numbers.resize(width, numbers[0]);
        }
        let found = numbers.len();
        let fault = || format!("{at} has {found} numbers in `{name}`, expected {width}");
        (found == width).then_some(numbers).ok_or_else(fault)
    };
    Ok(Leaf {
        place: place.to_string(),
        width,
        low: side("low")?,
        high: side("high")?,
    })
}

/// The product of a list of whole numbers, or the one that stands alone.
fn product(value: &Value) -> Option<usize> {
    match value {
        Value::Array(sizes) => sizes.iter().try_fold(1_usize, |product, size| {
            product.checked_mul(usize::try_from(size.as_u64()?).ok()?)
        }),
        one => usize::try_from(one.as_u64()?).ok(),
    }
}

fn flat(value: &Value, numbers: &mut Vec<Option<f64>>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flat(value, numbers)),
        one => numbers.push(one.as_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_are_no_bounds_and_a_key_called_so_stays() {
        let space = r#"{"type": "Dict", "subspaces": {"a\"Infinity": {"type": "Box", "dtype": "float32", "shape": [2],
            "low": [-Infinity, -1], "high": [NaN, 1.5]}}}"#;
        let found = leaves(space).expect("a space");
        assert_eq!(found[0].place, "/a\"Infinity");
        assert_eq!(found[0].low, [None, Some(-1.0)]);
        assert_eq!(found[0].high, [None, Some(1.5)]);
    }

    #[test]
    fn spaces_that_are_no_vectors_are_named() {
        for (space, words) in [
            (r#"{"type": "Discrete", "n": 3, "start": 0}"#, "Discrete"),
            (
                r#"{"type": "Box", "dtype": "uint8", "shape": [4, 4, 3], "low": 0, "high": 255}"#,
                "pictures",
            ),
            (r#"{"type": "Tuple", "subspaces": []}"#, "no numbers"),
            (
                r#"{"type": "Box", "dtype": "float32", "shape": [3], "low": [0, 1], "high": 1}"#,
                "2 numbers in `low`",
            ),
            ("not", "no JSON"),
        ] {
            let reason = leaves(space).expect_err(space);
            assert!(reason.contains(words), "{reason}");
        }
    }
}
