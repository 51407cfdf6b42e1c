//! Types of parameters of scenarios and servers.

use std::time::Duration;

/// A value of a parameter, with a text for ids and reports.
///
/// Implement it for your own type to use that as a parameter:
///
/// ```
/// use wsgibench_harness::declare::ParamValue;
///
/// #[derive(Clone)]
/// enum Size { Small, Large }
///
/// impl ParamValue for Size {
///     fn text(&self) -> String {
///         match self { Size::Small => "small", Size::Large => "large" }.into()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter",
    label = "not a parameter type",
    note = "numbers, `bool`, `char`, strings and `Duration` can; implement `wsgibench_harness::declare::ParamValue` for your own type"
)]
pub trait ParamValue: Clone {
    /// Returns the text for ids and reports. Different values need different texts.
    fn text(&self) -> String;
}

macro_rules! by_display {
    ($($ty:ty),*) => {
        $(impl ParamValue for $ty {
            fn text(&self) -> String {
                self.to_string()
            }
        })*
    };
}

by_display!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool, char, String, &str
);

impl ParamValue for Duration {
    fn text(&self) -> String {
        humantime::format_duration(*self).to_string().replace(' ', "")
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, ParamValue};

    #[test]
    fn numbers_and_durations_have_short_texts() {
        assert_eq!(10_000_usize.text(), "10000");
        assert_eq!(0.5_f64.text(), "0.5");
        assert_eq!("gzip".text(), "gzip");
        assert_eq!(Duration::from_millis(2_500).text(), "2s500ms");
    }
}
