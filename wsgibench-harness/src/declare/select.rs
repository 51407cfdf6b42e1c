//! Selection of cases. Pure: takes arguments and cases, returns cases or an error.

use regex::Regex;

use super::{Case, Declarations, Profile, id, suggest};

/// A selection of cases, from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Regular expressions on the case id (whole ids with `exact`); a case that matches any of them is selected. Empty: all.
    pub filters: Vec<String>,
    /// Whether filters are whole ids.
    pub exact: bool,
    /// Regular expressions on the case id (whole ids with `exact`); a case that matches any of them is excluded.
    pub skip: Vec<String>,
    /// Servers by name. Empty: all.
    pub servers: Vec<String>,
    /// Scenarios by name. Empty: all.
    pub scenarios: Vec<String>,
    /// Tags; a case with any of them is selected. Empty: all.
    pub tags: Vec<String>,
    /// Whether a profile was named; its selection of cases then applies in addition to filters.
    pub profile_named: bool,
    /// Handling of ignored cases.
    pub ignored: Ignored,
    /// Running servers, which no profile knows by name: a pattern selects their cases if it would select those of any other
    /// server.
    pub guests: Vec<String>,
}

/// Handling of ignored cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ignored {
    /// Selects them, marked; the runner skips and reports them.
    #[default]
    Mark,
    /// Runs them like all others.
    Include,
    /// Selects them only.
    Only,
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        "none is declared".into()
    } else {
        known.join(", ")
    }
}

/// An error in a selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// An unknown server, scenario or tag.
    #[error("{what} `{name}` not found{}\n{what}s: {}", suggest::did_you_mean(.meant.as_deref()), listed(.known))]
    Unknown {
        /// `server`, `scenario` or `tag`.
        what: &'static str,
        /// The requested name.
        name: String,
        /// The most similar name.
        meant: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// The text is not a regular expression.
    #[error("`{pattern}` is not a regular expression: {reason}")]
    Pattern {
        /// The text.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// A filter matches no case.
    #[error("filter `{filter}` matches no case{}", similar_text(.near))]
    NoMatch {
        /// The filter.
        filter: String,
        /// Similar ids.
        near: Vec<String>,
    },
    /// Each criterion matches cases, but no case matches all of them.
    #[error("no case is selected: {reason}")]
    Nothing {
        /// The criteria, and the one to leave out.
        reason: String,
    },
}

fn similar_text(ids: &[String]) -> String {
    if ids.is_empty() {
        "; `--list .` shows all".into()
    } else {
        format!("; similar: {}; `--list .` shows all", ids.join(", "))
    }
}

impl Selector {
    /// Returns the selected cases, in their order.
    ///
    /// The profile's selection applies if the profile is named, or if there are neither filters nor scenarios; servers, tags and
    /// `skip` only narrow it.
    ///
    /// # Errors
    /// An unknown name, an invalid regular expression, a filter that matches nothing, or an empty selection.
    pub fn select(&self, declarations: &Declarations, profile: &Profile) -> Result<Vec<Case>, SelectError> {
        let mut cases = declarations.cases();
        self.check_names(declarations, &cases)?;
        let filters = self.patterns(&self.filters)?;
        let skip = self.patterns(&self.skip)?;
        for (pattern, text) in filters.iter().zip(&self.filters) {
            if !cases.iter().any(|case| pattern.matches(&case.id)) {
                let near = suggest::near_ids(text, cases.iter().map(|case| case.id.as_str()));
                return Err(SelectError::NoMatch {
                    filter: text.clone(),
                    near: near.into_iter().map(ToOwned::to_owned).collect(),
                });
            }
        }
        let by_profile = self.profile_named || (self.filters.is_empty() && self.scenarios.is_empty());
        let chosen = if by_profile {
            regexes(&profile.cases)?
        } else {
            Vec::new()
        };
        let called: Vec<&str> = declarations
            .servers
            .iter()
            .filter(|server| self.servers.iter().any(|name| server.is_called(name)))
            .map(|server| server.name.as_str())
            .collect();
        let any = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        cases.retain(|case| {
            (filters.is_empty() || filters.iter().any(|filter| filter.matches(&case.id)))
                && !skip.iter().any(|skip| skip.matches(&case.id))
                && (chosen.is_empty() || chosen.iter().any(|regex| self.chooses(regex, case, declarations)))
                && (self.servers.is_empty() || called.contains(&case.server.as_str()))
                && any(&self.scenarios, &case.scenario)
                && (self.tags.is_empty() || case.tags.iter().any(|tag| self.tags.contains(tag)))
                && (self.ignored != Ignored::Only || case.ignored.is_some())
        });
        if cases.is_empty() {
            return Err(SelectError::Nothing {
                reason: self.why_nothing(profile, !chosen.is_empty()),
            });
        }
        Ok(cases)
    }

    fn chooses(&self, pattern: &Regex, case: &Case, declarations: &Declarations) -> bool {
        if pattern.is_match(&case.id) || !self.guests.contains(&case.server) {
            return pattern.is_match(&case.id);
        }
        let id_with = |server: &str| format!("{}/{}/{}", id::safe(&case.scenario), id::safe(server), case.param);
        let mut servers = declarations.servers.iter();
        servers.any(|server| pattern.is_match(&id_with(&server.name)))
    }

    /// Checks that all requested servers, scenarios and tags exist.
    ///
    /// # Errors
    /// The first unknown name, with the most similar one.
    pub fn check_names(&self, declarations: &Declarations, cases: &[Case]) -> Result<(), SelectError> {
        let mut servers: Vec<&str> = Vec::new();
        for server in &declarations.servers {
            if server.setting.is_some() && !servers.contains(&server.function()) {
                servers.push(server.function());
            }
            servers.push(&server.name);
        }
        let scenarios: Vec<&str> = declarations
            .scenarios
            .iter()
            .map(|scenario| scenario.name.as_str())
            .collect();
        let mut tags: Vec<&str> = cases.iter().flat_map(|case| &case.tags).map(String::as_str).collect();
        tags.sort_unstable();
        tags.dedup();
        for (what, asked, known) in [
            ("server", &self.servers, servers),
            ("scenario", &self.scenarios, scenarios),
            ("tag", &self.tags, tags),
        ] {
            if let Some(name) = asked.iter().find(|name| !known.contains(&name.as_str())) {
                return Err(SelectError::Unknown {
                    what,
                    name: name.clone(),
                    meant: suggest::nearest(name, known.iter().copied()).map(ToOwned::to_owned),
                    known: known.into_iter().map(ToOwned::to_owned).collect(),
                });
            }
        }
        Ok(())
    }

    fn patterns(&self, texts: &[String]) -> Result<Vec<Pattern>, SelectError> {
        if self.exact {
            return Ok(texts.iter().cloned().map(Pattern::Exact).collect());
        }
        Ok(regexes(texts)?.into_iter().map(Pattern::Regex).collect())
    }

    fn why_nothing(&self, profile: &Profile, chosen_by_profile: bool) -> String {
        let mut parts = Vec::new();
        for (option, values) in [
            ("filters", &self.filters),
            ("--skip", &self.skip),
            ("--server", &self.servers),
            ("--scenario", &self.scenarios),
            ("--tag", &self.tags),
        ] {
            if !values.is_empty() {
                parts.push(format!("{option} {}", values.join(" ")));
            }
        }
        if self.ignored == Ignored::Only {
            parts.push("--ignored".into());
        }
        if chosen_by_profile {
            parts.push(format!(
                "the profile `{}` with its cases {}",
                profile.name,
                profile.cases.join(" ")
            ));
        }
        let remedy = match (parts.is_empty(), chosen_by_profile && !self.profile_named) {
            (true, _) => return "every scenario names servers that are not declared".into(),
            (_, true) => "name a scenario or a filter to select cases outside of the profile",
            (_, false) => "leave one of them out",
        };
        format!(
            "no case matches all of: {}; {remedy} (`--list .` shows all)",
            parts.join("; ")
        )
    }
}

enum Pattern {
    Exact(String),
    Regex(Regex),
}

impl Pattern {
    fn matches(&self, id: &str) -> bool {
        match self {
            Self::Exact(text) => text == id,
            Self::Regex(regex) => regex.is_match(id),
        }
    }
}

fn regexes(texts: &[String]) -> Result<Vec<Regex>, SelectError> {
    let regex = |text: &String| {
        Regex::new(text).map_err(|error| SelectError::Pattern {
            pattern: text.clone(),
            reason: error.to_string(),
        })
    };
    texts.iter().map(regex).collect()
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
