//! The built-in services. A new one is one more entry in [`ALL`].

use super::builtin::BuiltinService;
use super::{chat, classic, echo, exec, files};

/// All services, in the order of the help.
pub(in crate::cli) static ALL: [BuiltinService; 9] = [
    echo::ECHO,
    classic::UPPER,
    classic::GREET,
    classic::ROBOT,
    classic::PARROT,
    classic::CLOCK,
    chat::CHAT,
    files::FILES,
    exec::EXEC,
];

/// Returns the service called `name`.
pub(in crate::cli) fn find(name: &str) -> Option<&'static BuiltinService> {
    ALL.iter().find(|builtin| builtin.name == name)
}

/// Returns the names of all services, separated by `separator`.
pub(in crate::cli) fn names(separator: &str) -> String {
    ALL.each_ref().map(|builtin| builtin.name).join(separator)
}

/// Returns true if `option` is an option of some services only.
pub(in crate::cli) fn is_owned(option: &str) -> bool {
    ALL.iter().any(|builtin| builtin.options.contains(&option))
}
