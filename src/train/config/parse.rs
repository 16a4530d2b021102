//! From TOML text and `--set` overrides to a configuration.

use super::Config;
use crate::error::nearest;
use crate::{Error, Result};
use toml::{Table, Value};

impl Config {
    /// A configuration from TOML text (of `origin`, for messages) and `key=value` overrides.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key, naming the nearest known one, and for a value of the wrong type.
    pub fn parse(text: &str, origin: &str, sets: &[String]) -> Result<Config> {
        let mut table: Table = text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            Error::Usage(format!("{origin}, line {line}: {}", one_line(e.message())))
        })?;
        for set in sets {
            apply_set(&mut table, set)?;
        }
        check_keys(&table, &known_keys(), "", origin)?;
        serde_path_to_error::deserialize(Value::Table(table)).map_err(|e| {
            let key = e.path().to_string();
            let what = plain(&key, &one_line(&e.into_inner().to_string()));
            Error::Usage(format!("{origin}: {key}: {what}"))
        })
    }

    /// The same as TOML text.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

/// What the deserialiser says, in words of the settings rather than of Rust.
fn plain(key: &str, what: &str) -> String {
    if what.contains("untagged enum") {
        return match key {
            "bn.momentum" => "is neither a number nor \"cumulative\"".into(),
            _ => "is neither \"log\", \"log:N\", a number of steps nor a list of steps".into(),
        };
    }
    let words = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list"),
    ];
    words.iter().fold(what.to_owned(), |text, (jargon, word)| text.replace(jargon, word))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Every key there is, as a tree: the default with everything optional given.
fn known_keys() -> Table {
    let mut config = Config::default();
    config.model.bias = Some(true);
    config.train.lr = Some(1e-3);
    config.train.weight_decay = Some(0.0);
    config.train.steps = Some(1);
    config.train.epochs = Some(1.0);
    Table::try_from(&config).unwrap_or_default()
}

fn check_keys(given: &Table, known: &Table, path: &str, origin: &str) -> Result<()> {
    for (key, value) in given {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (known.get(key), value) {
            (None, _) => {
                let all = all_keys(&known_keys(), "");
                let hint = nearest(&full, all.iter().map(String::as_str))
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default();
                return Err(Error::Usage(format!("{origin}: unknown key {full}{hint}")));
            }
            (Some(Value::Table(inner)), Value::Table(value)) => check_keys(value, inner, &full, origin)?,
            (Some(Value::Table(_)), _) => {
                return Err(Error::Usage(format!("{origin}: {full} is a section, not a value")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn all_keys(table: &Table, path: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(inner) => {
                keys.extend(all_keys(inner, &full));
                keys.push(full);
            }
            _ => keys.push(full),
        }
    }
    keys
}

/// Applies one `a.b=value`; the value is TOML, or a bare string.
fn apply_set(table: &mut Table, set: &str) -> Result<()> {
    let Some((path, text)) = set.split_once('=') else {
        return Err(Error::Usage(format!("--set {set}: write key=value, for example --set train.lr=0.01")));
    };
    let value = format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.trim().into()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut at = table;
    for key in keys {
        let entry = at.entry(key).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return Err(Error::Usage(format!("--set {set}: {key} is a value, not a section")));
        };
        at = inner;
    }
    at.insert(last.into(), value);
    Ok(())
}
