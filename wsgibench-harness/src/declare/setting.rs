//! Variants of servers with parameters.

use serde::{Deserialize, Serialize};

use super::{Server, id};

/// Most variants of one server.
pub(crate) const MOST_VARIANTS: usize = 200;

/// One variant of a `#[server]` function, as the attribute generates it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerVariant {
    /// Its parameters, e.g. `workers=2-threads=4`; `None` for a server without parameters.
    pub id: Option<String>,
    /// Names and values of the parameters, in order.
    pub values: Vec<(String, String)>,
    /// The value that the function returned.
    pub server: Server,
}

impl ServerVariant {
    /// Returns a variant; its id is made of the values, as that of a scenario's parameters. `case` is the name of a named case and
    /// the parameters that it replaces in the id.
    #[must_use]
    pub fn new(case: Option<(&str, &[&str])>, values: Vec<(String, String)>, server: Server) -> Self {
        Self {
            id: (!values.is_empty()).then(|| id::param_id(case, &values)),
            values,
            server,
        }
    }

    /// Returns its name as a server: `app`, or `app@workers=2-threads=4`.
    #[must_use]
    pub fn name(&self, function: &str) -> String {
        match &self.id {
            None => function.to_owned(),
            Some(id) => format!("{function}@{id}"),
        }
    }
}

/// The parameters of a variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Setting {
    /// Name of the function, common to all variants.
    pub function: String,
    /// Names and values of the parameters, in order.
    pub values: Vec<(String, String)>,
    /// Whether it is the variant marked by [`Server::default_variant`].
    pub default: bool,
}
