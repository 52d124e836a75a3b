//! The query of a request: version of the interface, and paging.

use data_encoding::BASE64URL_NOPAD;

use super::failure::Failure;

/// Most entries of a page, and their default.
const MAX_PAGE: usize = 25;

/// What the query says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// Taken as it is: any version is accepted.
    pub(super) api_version: String,
    pub(super) max_results: usize,
    /// The last entry of the page before.
    pub(super) after: Option<String>,
}

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, Failure> {
        let mut out = Self { api_version: String::new(), max_results: MAX_PAGE, after: None };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let (name, value) = (decoded(name)?, decoded(value)?);
            match name.to_ascii_lowercase().as_str() {
                "api-version" => out.api_version = version(value)?,
                "maxresults" => out.max_results = max_results(&value)?,
                "$skiptoken" => out.after = Some(position(&value)?),
                // Azure ignores what it does not know.
                _ => {}
            }
        }
        if out.api_version.is_empty() {
            return Err(Failure::bad("The api-version query parameter must be given."));
        }
        Ok(out)
    }

    /// The query of the next page, which begins after this entry.
    pub(super) fn next(&self, after: &str) -> String {
        let token = BASE64URL_NOPAD.encode(after.as_bytes());
        format!("api-version={}&$skiptoken={token}&maxresults={}", self.api_version, self.max_results)
    }
}

fn version(text: String) -> Result<String, Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if text.len() > 64 || !text.bytes().all(allowed) {
        return Err(Failure::field("api-version", "at most 64 letters, digits, dots and dashes", "something else"));
    }
    Ok(text)
}

fn max_results(text: &str) -> Result<usize, Failure> {
    let number = text.parse().ok().filter(|number| (1..=MAX_PAGE).contains(number));
    number.ok_or_else(|| Failure::field("maxresults", format_args!("1 to {MAX_PAGE}"), "something else"))
}

fn position(token: &str) -> Result<String, Failure> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Failure::field("$skiptoken", "one of the emulator", "another"))
}

/// Takes percent encoding away (RFC 3986).
fn decoded(text: &str) -> Result<String, Failure> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()).zip(hex(bytes.next())).map(|(high, low)| high << 4 | low).ok_or_else(broken)?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(out).map_err(|_| broken())
}

fn hex(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn broken() -> Failure {
    Failure::bad("The query is not percent-encoded text.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_link_leads_on() {
        let first = Query::parse("api-version=7.4&maxresults=2&other=x&flag").unwrap();
        assert_eq!((first.api_version.as_str(), first.max_results, &first.after), ("7.4", 2, &None));
        let next = Query::parse(&first.next("a-name")).unwrap();
        assert_eq!((next.max_results, next.after.as_deref()), (2, Some("a-name")));
        let encoded = first.next("a-name").replace('$', "%24");
        assert_eq!(Query::parse(&encoded).unwrap(), next);
    }

    #[test]
    fn what_is_out_of_its_limits_is_refused() {
        for wrong in [
            "",
            "api-version=",
            "api-version=a%20b",
            "api-version=1&maxresults=0",
            "api-version=1&maxresults=26",
            "api-version=1&maxresults=x",
            "api-version=1&$skiptoken=*",
            "api-version=1&a=%",
            "api-version=1&a=%4",
            "api-version=1&a=%zz",
            "api-version=1&a=%ff",
        ] {
            assert_eq!(Query::parse(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
