//! Showing what somebody gave us, without its secrets and without letting it forge log lines.

/// Longest text that [`redact`] returns, in characters.
const MAX_SHOWN: usize = 200;

const HIDDEN: &str = "***";

/// What follows one of these may be a secret.
const VALUE_MARKS: [char; 3] = ['?', '#', '='];

/// `text` as it may be shown: user info and query values replaced by `***`.
///
/// Errs on the side of hiding: everything before the last `@` counts as user info, however
/// malformed, and everything after a `=` as a value; where the two mix, all of it is hidden. Control characters and those that reorder or
/// hide text are escaped, and at most 200 characters are returned.
pub fn redact(text: &str) -> String {
    let (scheme, rest) = split_scheme(text);
    let mut shown = Shown::default();
    shown.push(scheme);
    let whole = rest.len();
    let Some(rest) = after_user_info(rest) else {
        shown.push(HIDDEN);
        return shown.finish();
    };
    if rest.len() < whole {
        shown.push(HIDDEN);
        shown.push("@");
    }
    let secret_from = rest.find(VALUE_MARKS).unwrap_or(rest.len());
    let (plain, secret) = rest.split_at(secret_from);
    shown.push(plain);
    match secret.strip_prefix('?') {
        Some(query) => push_query(&mut shown, query),
        None if secret.is_empty() => {}
        None => {
            shown.push(&secret[..1]);
            shown.push(HIDDEN);
        }
    }
    shown.finish()
}

/// `text` that is no secret, such as a path, on one line: escaped and bounded as by [`redact`].
pub fn printable(text: &str) -> String {
    let mut shown = Shown::default();
    shown.push(text);
    shown.finish()
}

/// Names stay, values go; what has no name is a value.
fn push_query(shown: &mut Shown, query: &str) {
    let mut lead = "?";
    for pair in query.split('&') {
        if shown.full {
            return;
        }
        shown.push(lead);
        lead = "&";
        if let Some((name, _)) = pair.split_once('=') {
            shown.push(name);
            shown.push("=");
        }
        shown.push(HIDDEN);
    }
}

/// Splits off `scheme://`, when it looks like one: a short word of letters. In `u:p://w@h` it is a
/// piece of a password, and so it may be in `k3y://@h`.
pub(super) fn split_scheme(text: &str) -> (&str, &str) {
    match text.find("://") {
        Some(at) if is_scheme(&text[..at]) => text.split_at(at + 3),
        _ => ("", text),
    }
}

fn is_scheme(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// What follows the user info; all of `text` when there is none. None when nothing tells which side
/// of an `@` is the secret one: `h?token=x@y` is a value with an `@`, `u:p?x@h` a password with a `?`.
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

/// Collects text, escaped and bounded.
#[derive(Default)]
struct Shown {
    text: String,
    length: usize,
    full: bool,
}

impl Shown {
    fn push(&mut self, piece: &str) {
        for c in piece.chars() {
            if self.full {
                return;
            }
            if unsafe_to_show(c) {
                c.escape_default().for_each(|e| self.push_char(e));
            } else {
                self.push_char(c);
            }
        }
    }

    fn push_char(&mut self, c: char) {
        if self.length == MAX_SHOWN {
            self.full = true;
        } else {
            self.text.push(c);
            self.length += 1;
        }
    }

    fn finish(mut self) -> String {
        if self.full {
            // Room for the dots, by characters: the text may not be ASCII.
            for _ in 0..3 {
                self.text.pop();
            }
            self.text.push_str("...");
        }
        self.text
    }
}

/// Would start a new log line, drive a terminal, or show as something else than it is.
fn unsafe_to_show(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(
            c,
            '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' | '\u{00ad}'
        )
}
