//! `wsgibench clean`: lists files, containers and images of wsgibench, and removes the requested ones. Saved baselines are
//! never removed.

mod disk;
#[cfg(feature = "docker")]
mod engine;
#[cfg(not(feature = "docker"))]
#[path = "no_engine.rs"]
mod engine;
mod item;

use std::process::ExitCode;

use console::style;

use self::{
    engine::Connection,
    item::{Item, Kind, Place},
};
use super::{arguments::Clean, error::ToolError, units};
use crate::store::Store;

/// Lists or removes items, and prints which were removed, which were kept and why.
pub(super) fn run(options: &Clean, store: &Store) -> Result<ExitCode, ToolError> {
    let asked = asked(options);
    let show_only = options.dry_run || asked.is_empty();
    let wanted = |kind: Kind| asked.is_empty() || asked.contains(&kind);
    let needs_engine = [Kind::Image, Kind::Container, Kind::Network].into_iter().any(wanted);

    let mut items = disk::environments(store);
    items.extend(disk::runs(store, options.keep));
    let engine = if needs_engine {
        match Connection::open().and_then(|engine| Ok((engine.items()?, engine))) {
            Ok((found, engine)) => {
                items.extend(found);
                Some(engine)
            }
            Err(why) => {
                outln!(
                    "{} images, containers and networks were not checked: {why}",
                    style("note:").yellow()
                );
                None
            }
        }
    } else {
        None
    };
    items.retain(|item| wanted(item.kind));
    items.sort_by_key(|item| item.kind);

    if show_only {
        show(&items, asked.is_empty());
        return Ok(ExitCode::SUCCESS);
    }
    let failures = remove(&items, engine.as_ref());
    if failures > 0 || (engine.is_none() && needs_engine) {
        return Err(ToolError::Failed(
            "failed to remove some items; see the lines above".into(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the kinds selected by the options; empty if none are. Containers come before their networks and images.
fn asked(options: &Clean) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if options.networks || options.all {
        kinds.extend([Kind::Container, Kind::Network]);
    }
    if options.images || options.all {
        kinds.push(Kind::Image);
    }
    if options.environments || options.all {
        kinds.push(Kind::Environment);
    }
    if options.runs {
        kinds.push(Kind::Run);
    }
    kinds
}

fn show(items: &[Item], hint: bool) {
    for item in items {
        let remark = item
            .stays
            .as_ref()
            .map(|why| format!("  kept: {why}"))
            .unwrap_or_default();
        outln!("{}{remark}", describe(item));
    }
    let goes: u64 = items
        .iter()
        .filter(|item| item.stays.is_none())
        .filter_map(|item| item.bytes)
        .sum();
    match (items.is_empty(), hint) {
        (true, _) => outln!("Nothing to remove."),
        (false, false) => outln!(
            "\nWould remove {} (layers that images share count more than once).",
            units::size(goes)
        ),
        (false, true) => outln!(
            "\nNothing was removed. --all removes what the next run makes again; --images, --networks, --environments and --runs \
             choose."
        ),
    }
}

/// Removes the removable items and returns the number of failures.
fn remove(items: &[Item], engine: Option<&Connection>) -> usize {
    let (mut gone, mut bytes, mut failures) = (0_usize, 0, 0);
    for item in items {
        if let Some(why) = &item.stays {
            outln!("{}  kept: {why}", describe(item));
            continue;
        }
        let removed = match (&item.place, engine) {
            (Place::Disk(paths), _) => disk::remove(paths),
            (Place::Engine(name), Some(engine)) => engine.remove(item.kind, name),
            (Place::Engine(_), None) => Err("no engine is available".into()),
        };
        match removed {
            Ok(()) => {
                outln!("{}  {}", describe(item), style("removed").green());
                gone += 1;
                bytes += item.bytes.unwrap_or(0);
            }
            Err(why) => {
                outln!("{}  {}: {why}", describe(item), style("failed to remove").red());
                failures += 1;
            }
        }
    }
    if items.is_empty() {
        outln!("Nothing to remove.");
    } else {
        outln!("\nRemoved {gone} of {} ({}).", items.len(), units::size(bytes));
    }
    failures
}

fn describe(item: &Item) -> String {
    let size = item.bytes.map(units::size).unwrap_or_default();
    format!("{:11}  {:>10}  {}", item.kind.name(), size, item.name)
}

#[cfg(test)]
mod tests {
    use super::{Kind, asked};
    use crate::tool::arguments::Clean;

    #[test]
    fn all_keeps_stored_runs() {
        let options = |all, runs| Clean {
            all,
            images: false,
            networks: false,
            environments: false,
            runs,
            keep: 0,
            dry_run: false,
        };
        assert!(!asked(&options(true, false)).contains(&Kind::Run));
        assert_eq!(asked(&options(false, true)), [Kind::Run]);
        assert!(asked(&options(false, false)).is_empty());
    }
}
