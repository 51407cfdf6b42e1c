//! `wsgibench clean`: shows what is ours, and removes what is asked for. Saved baselines are never touched.

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

/// Shows or removes, and says what went, what stayed and why.
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
                    "{} images, containers and networks were not looked at: {why}",
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
            "not everything that was asked for could be removed".into(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The kinds that the options name; empty: none was named. Containers go before the networks that they are in, and the
/// images that they use.
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
            .map(|why| format!("  stays: {why}"))
            .unwrap_or_default();
        outln!("{}{remark}", describe(item));
    }
    let goes: u64 = items
        .iter()
        .filter(|item| item.stays.is_none())
        .filter_map(|item| item.bytes)
        .sum();
    match (items.is_empty(), hint) {
        (true, _) => outln!("Nothing of ours is here."),
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

/// Removes what may go; returns how many could not be removed.
fn remove(items: &[Item], engine: Option<&Connection>) -> usize {
    let (mut gone, mut bytes, mut failures) = (0_usize, 0, 0);
    for item in items {
        if let Some(why) = &item.stays {
            outln!("{}  stays: {why}", describe(item));
            continue;
        }
        let removed = match (&item.place, engine) {
            (Place::Disk(paths), _) => disk::remove(paths),
            (Place::Engine(name), Some(engine)) => engine.remove(item.kind, name),
            (Place::Engine(_), None) => Err("no engine answers".into()),
        };
        match removed {
            Ok(()) => {
                outln!("{}  {}", describe(item), style("removed").green());
                gone += 1;
                bytes += item.bytes.unwrap_or(0);
            }
            Err(why) => {
                outln!("{}  {}: {why}", describe(item), style("could not be removed").red());
                failures += 1;
            }
        }
    }
    if items.is_empty() {
        outln!("Nothing of ours is here.");
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
    fn all_leaves_the_measurements() {
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
