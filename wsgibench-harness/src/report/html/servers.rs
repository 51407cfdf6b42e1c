//! The servers of a run: version, command and resource limits.

use serde::Serialize;

use crate::{
    declare::{Source, Variant},
    report::{charts::slug, display, units},
    store::record::ServerRecord,
};

#[derive(Serialize)]
pub(super) struct Server {
    name: String,
    anchor: String,
    description: String,
    variant: &'static str,
    notes: Vec<String>,
    command: String,
    facts: Vec<(String, String)>,
}

pub(super) fn server(record: &ServerRecord) -> Server {
    let spec = &record.spec;
    let limits = &spec.limits;
    let mut facts: Vec<(String, String)> = vec![("image".into(), record.image.clone())];
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push((name.to_owned(), value));
        }
    };
    fact("digest", record.image_digest.clone().unwrap_or_default());
    if let Some(bytes) = record.image_bytes {
        fact("image size", units::bytes(units::float(bytes)));
    }
    fact(
        "source",
        match &spec.source {
            Source::Folder(folder) => folder.display().to_string(),
            Source::Image(name) => name.clone(),
            Source::Requirements(lines) => lines.join(", "),
            Source::Running(address) => format!("already running at {address}"),
        },
    );
    let parameters = spec.setting.iter().flat_map(|setting| &setting.values);
    let parameters: Vec<String> = parameters.map(|(name, value)| format!("{name} = {value}")).collect();
    fact("parameters", parameters.join(", "));
    fact("Python", python(record.versions.get("python"), spec.python.as_ref()));
    let versions = record
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    fact("versions", versions.collect::<Vec<_>>().join(", "));
    let quota = limits.cpu_quota.map_or_else(String::new, |q| format!(" (quota {q})"));
    fact(
        "limits",
        format!(
            "{} CPU{}{quota}, {}, {} descriptors, backlog {}, {} processes",
            limits.cpus,
            if limits.cpus == 1 { "" } else { "s" },
            units::bytes(units::float(limits.memory)),
            units::grouped(limits.descriptors),
            units::grouped(u64::from(limits.backlog)),
            units::grouped(u64::from(limits.pids)),
        ),
    );
    fact("user", spec.user.clone());
    fact("capabilities", spec.capabilities.join(", "));
    let environment = spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    fact("environment", environment.collect::<Vec<_>>().join(" "));
    let companions = record.companions.iter().map(|(name, image)| format!("{name}: {image}"));
    fact("companions", companions.collect::<Vec<_>>().join(", "));
    fact("tags", spec.tags.join(", "));
    Server {
        name: spec.name.clone(),
        anchor: slug(&spec.name),
        description: spec.description.clone(),
        variant: match spec.variant {
            Variant::Tuned => "tuned",
            Variant::Default => "untuned",
        },
        notes: spec.notes.clone(),
        command: if spec.command.is_empty() {
            "the image's own".into()
        } else {
            display::command(&spec.command)
        },
        facts,
    }
}

/// Formats the Python version of a server, and the version that it requested.
fn python(has: Option<&String>, asked: Option<&String>) -> String {
    match (has, asked) {
        (Some(has), Some(asked)) => format!("{has}, as requested ({asked})"),
        (Some(has), None) => has.clone(),
        (None, Some(asked)) => format!("{asked} requested"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::python;

    #[test]
    fn python_shows_actual_and_requested_version() {
        let (has, asked) = ("3.13.5".to_owned(), "3.13".to_owned());
        assert_eq!(python(Some(&has), Some(&asked)), "3.13.5, as requested (3.13)");
        assert_eq!(python(Some(&has), None), "3.13.5");
        assert_eq!(python(None, Some(&asked)), "3.13 requested");
        assert_eq!(python(None, None), "");
    }
}
