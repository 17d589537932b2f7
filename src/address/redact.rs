//! Redaction of text from outside: no secrets, and nothing that could forge log lines.

/// Maximum length of a shown text, in characters.
const MAX_SHOWN: usize = 200;

const HIDDEN: &str = "***";

/// The text after one of these may be a secret.
const VALUE_MARKS: [char; 3] = ['?', '#', '='];

/// `text` as it may be shown: user info and query values are replaced by `***`.
///
/// Hides too much rather than too little: all before the last `@` counts as user info, however
/// malformed, and all after a `=` as a value; where the two mix, everything is hidden. The result is
/// escaped and bounded as by [`printable`].
pub fn redact(text: &str) -> String {
    let (scheme, rest) = split_scheme(text);
    let Some(plain) = after_user_info(rest) else {
        return printable(&format!("{scheme}{HIDDEN}"));
    };
    let user_info = if plain.len() < rest.len() { "***@" } else { "" };
    let secret_from = plain.find(VALUE_MARKS).unwrap_or(plain.len());
    let (plain, secret) = plain.split_at(secret_from);
    let secret = match secret.strip_prefix('?') {
        Some(query) => format!("?{}", redact_query(query)),
        None if secret.is_empty() => String::new(),
        None => format!("{}{HIDDEN}", &secret[..1]),
    };
    printable(&format!("{scheme}{user_info}{plain}{secret}"))
}

/// The names of a query. Values are hidden, and so is what has no name.
fn redact_query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={HIDDEN}"),
        None => HIDDEN.to_owned(),
    });
    pairs.take(MAX_SHOWN).collect::<Vec<_>>().join("&")
}

/// `text` on one line of at most 200 characters. Control characters and those that reorder or hide
/// text are escaped. For text without secrets, such as a path.
pub fn printable(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| {
        let is_safe = !unsafe_to_show(c);
        let escape = c.escape_default().filter(move |_| !is_safe);
        is_safe.then_some(c).into_iter().chain(escape)
    });
    let mut shown: Vec<char> = escaped.take(MAX_SHOWN + 1).collect();
    if shown.len() > MAX_SHOWN {
        shown.truncate(MAX_SHOWN - 3);
        shown.extend(['.'; 3]);
    }
    shown.into_iter().collect()
}

/// Splits off `scheme://` if it looks like one: a short word of letters. In `u:p://w@h` it is part of a
/// password, and in `k3y://@h` it may be.
pub(super) fn split_scheme(text: &str) -> (&str, &str) {
    match text.find("://") {
        Some(at) if is_scheme(&text[..at]) => text.split_at(at + 3),
        _ => ("", text),
    }
}

fn is_scheme(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// The text after the user info; all of `text` when there is none. `None` when it cannot be told which
/// side of an `@` is the secret: `h?token=x@y` is a value with an `@`, `u:p?x@h` a password with a `?`.
pub(super) fn after_user_info(text: &str) -> Option<&str> {
    let (user_info, rest) = text.split_at(user_info_end(text));
    (!user_info.contains(VALUE_MARKS)).then_some(rest)
}

/// Whether there is user info, however malformed.
pub(super) fn has_user_info(text: &str) -> bool {
    user_info_end(text) > 0
}

/// Where user info ends: after the last `@`, also a percent-encoded one; else 0. The last, because
/// an unescaped `@` or `/` inside a password must not end the hiding early.
fn user_info_end(text: &str) -> usize {
    let plain = text.rfind('@').map_or(0, |at| at + 1);
    let encoded = text.rfind("%40").map_or(0, |at| at + 3);
    plain.max(encoded)
}

/// Whether `c` would start a log line, control a terminal, or look like another text.
fn unsafe_to_show(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(
            c,
            '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' | '\u{00ad}'
        )
}
