//! Recovery of truncated runs: from the journal if there is one, else the complete cases of `run.json`.

use serde::Deserialize as _;
use serde_json::Value;

use super::record::{CaseRecord, RunRecord};

/// Parses a truncated `run.json`: the fields before the cases, and the complete cases. Returns `None` if it ends before the cases.
#[must_use]
pub(super) fn complete_cases(text: &str) -> Option<RunRecord> {
    let mut reader = Reader { text, at: 0 };
    let mut fields = serde_json::Map::new();
    let mut cases: Vec<CaseRecord> = Vec::new();
    let mut has_cases = false;
    reader.expect('{')?;
    while let Some(name) = reader.value().and_then(|v| v.as_str().map(str::to_owned)) {
        if reader.expect(':').is_none() {
            break;
        }
        if name == "cases" {
            has_cases = true;
            if !read_cases(&mut reader, &mut cases) {
                break;
            }
        } else {
            match reader.value() {
                Some(value) => fields.insert(name, value),
                None => break,
            };
        }
        if reader.expect(',').is_none() {
            break;
        }
    }
    if !has_cases {
        return None;
    }
    fields.insert("cases".into(), Value::Array(Vec::new()));
    fields.entry("ceiling").or_insert(Value::Null);
    let mut run = RunRecord::deserialize(Value::Object(fields)).ok()?;
    run.cases = cases;
    run.interrupted = true;
    Some(run)
}

/// Parses the array of cases; `false` if it is truncated.
fn read_cases(reader: &mut Reader, cases: &mut Vec<CaseRecord>) -> bool {
    if reader.expect('[').is_none() {
        return false;
    }
    if reader.expect(']').is_some() {
        return true;
    }
    loop {
        let Some(case) = reader.value().and_then(|v| CaseRecord::deserialize(v).ok()) else {
            return false;
        };
        cases.push(case);
        if reader.expect(']').is_some() {
            return true;
        }
        if reader.expect(',').is_none() {
            return false;
        }
    }
}

/// Parses JSON value by value up to the truncation.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn expect(&mut self, wanted: char) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let trimmed = rest.trim_start();
        let after = trimmed.strip_prefix(wanted)?;
        self.at = self.text.len() - after.len();
        Some(())
    }

    fn value(&mut self) -> Option<Value> {
        let rest = self.text.get(self.at..)?;
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = stream.next()?.ok()?;
        self.at += stream.byte_offset();
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::Load, store::record::SCHEMA_VERSION};

    fn text() -> String {
        let case = |n: u32| {
            serde_json::json!({"id": format!("ping/a/c{n}"), "scenario": "ping", "server": "a", "param": format!("c{n}"),
                "values": [], "description": "a ] , } in a text", "load": Load::closed(1).for_script(), "outcome": {"outcome": "measured"},
                "launches": [], "validity": {"level": "valid", "findings": []}})
        };
        // Written by hand to fix the order of fields as in the record.
        format!(
            "{{\"schema_version\": {SCHEMA_VERSION}, \"harness_version\": \"0\", \"id\": \"r\", \"started\": \"2026-01-01T00:00:00Z\",
               \"finished\": null, \"interrupted\": false, \"seed\": 1, \"profile\": {}, \"arguments\": [], \"environment\": {},
               \"notices\": [], \"servers\": [], \"cases\": [{}, {}, {}], \"ceiling\": null, \"comparison\": null}}",
            serde_json::to_string(&crate::declare::Profile::default()).unwrap(),
            serde_json::to_string(&crate::store::record::Environment::default()).unwrap(),
            case(1),
            case(2),
            case(3)
        )
    }

    #[test]
    fn complete_cases_are_kept_at_every_truncation() {
        let text = text();
        let begin = text.find("\"cases\": [").unwrap() + 10;
        let mut most = 0;
        for end in 0..=text.len() {
            let run = complete_cases(&text[..end]);
            assert_eq!(run.is_some(), end >= begin - 2, "{end}");
            let cases = run.map_or(0, |run| run.cases.len());
            assert!(cases >= most, "{end}");
            most = cases;
        }
        assert_eq!(most, 3);
    }

    #[test]
    fn other_files_are_none() {
        for text in ["", "{", "[]", "{\"a\": 1}", "\u{0}\u{0}", "{\"cases\": []}"] {
            assert!(complete_cases(text).is_none(), "{text}");
        }
    }
}
