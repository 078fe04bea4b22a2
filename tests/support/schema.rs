//! Whether JSON is as a schema says: the part of JSON Schema that our descriptions use, and no word beyond it.

use serde_json::{Map, Value};

/// What is wrong with `value`, by its place; `document` has what the schema refers to.
pub fn problems(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "$", &mut found);
    found
}

/// What a reference leads to.
pub fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return schema };
    let place = reference.strip_prefix('#').expect("a reference into the document");
    document.pointer(place).unwrap_or_else(|| panic!("{reference} is not there"))
}

fn check(document: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let schema = resolve(document, schema).as_object().expect("a schema");
    for (word, rule) in schema {
        match word.as_str() {
            "type" if !is_of(rule, value) => found.push(format!("{place}: {value} is no {rule}")),
            "enum" if !rule.as_array().expect("values").contains(value) => {
                found.push(format!("{place}: {value} is none of {rule}"));
            }
            "minimum" if value.as_f64() < rule.as_f64() => {
                found.push(format!("{place}: {value} is less than {rule}"))
            }
            "format" if rule == "date-time" => {
                let time = value.as_str().unwrap_or_default().parse::<jiff::Timestamp>();
                found.extend(time.err().map(|error| format!("{place}: {value} is no time: {error}")));
            }
            "required" => {
                let names = rule.as_array().expect("names").iter().map(|name| name.as_str().expect("a name"));
                let missing = names.filter(|name| value.is_object() && value.get(name).is_none());
                found.extend(missing.map(|name| format!("{place}: {name} is missing in {value}")));
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, item, &format!("{place}[{index}]"), found);
                }
            }
            "anyOf" => {
                let ways: Vec<_> = rule
                    .as_array()
                    .expect("schemas")
                    .iter()
                    .map(|schema| problems(document, schema, value))
                    .collect();
                if ways.iter().all(|problems| !problems.is_empty()) {
                    found.push(format!("{place}: fits none of anyOf: {ways:?}"));
                }
            }
            "properties"
            | "additionalProperties"
            | "type"
            | "enum"
            | "minimum"
            | "description"
            | "default"
            | "examples" => {}
            word => panic!("{place}: the schema says {word}, which this check does not know"),
        }
    }
    if let Some(fields) = value.as_object() {
        fields_of(document, schema, fields, place, found);
    }
}

fn fields_of(
    document: &Value,
    schema: &Map<String, Value>,
    fields: &Map<String, Value>,
    place: &str,
    found: &mut Vec<String>,
) {
    for (name, field) in fields {
        let described = schema.get("properties").and_then(|properties| properties.get(name));
        match described.or(schema.get("additionalProperties")) {
            Some(Value::Bool(false)) => found.push(format!("{place}: {name} is not described")),
            Some(schema @ Value::Object(_)) => {
                check(document, schema, field, &format!("{place}.{name}"), found);
            }
            _ => {}
        }
    }
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str().expect("a kind") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        kind => panic!("there is no kind {kind}"),
    };
    kinds.as_array().map_or_else(|| is(kinds), |kinds| kinds.iter().any(is))
}
