//! Who may submit. Must never say which part of the credentials was wrong, compare them in a time
//! that depends on them, or let them out.

use super::config::Authentication;
use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;

impl Authentication {
    /// Whether an `Authorization` header's value is one of the accepted ones.
    #[must_use]
    pub fn accepts(&self, header: Option<&[u8]>) -> bool {
        let Some((scheme, value)) = header.and_then(split) else { return false };
        if scheme.eq_ignore_ascii_case(b"basic") {
            let (Some(basic), Ok(given)) = (&self.basic, STANDARD.decode(value)) else { return false };
            given.ct_eq(format!("{}:{}", basic.user, basic.password.expose()).as_bytes()).into()
        } else if scheme.eq_ignore_ascii_case(b"bearer") {
            self.bearer.as_ref().is_some_and(|bearer| value.ct_eq(bearer.token.expose().as_bytes()).into())
        } else {
            false
        }
    }

    /// The values of the `WWW-Authenticate` headers of a 401.
    #[must_use]
    pub fn challenges(&self) -> Vec<&'static str> {
        let basic = self.basic.as_ref().map(|_| r#"Basic realm="portolan", charset="UTF-8""#);
        let bearer = self.bearer.as_ref().map(|_| r#"Bearer realm="portolan""#);
        basic.into_iter().chain(bearer).collect()
    }

    /// The value of the `Authorization` header that a sender shows.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        match (&self.basic, &self.bearer) {
            (Some(basic), _) => Some(format!("Basic {}", STANDARD.encode(format!("{}:{}", basic.user, basic.password.expose())))),
            (None, Some(bearer)) => Some(format!("Bearer {}", bearer.token.expose())),
            (None, None) => None,
        }
    }
}

fn split(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = header.iter().position(|b| *b == b' ')?;
    Some((&header[..at], header[at..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn both() -> Authentication {
        serde_json::from_value(json!({ "basic": { "user": "ann", "password": "pä:ss" }, "bearer": { "token": "t0ken" } })).unwrap()
    }

    #[test]
    fn each_way_is_accepted_in_any_case_of_the_scheme() {
        let basic = format!("bAsIc  {}", STANDARD.encode("ann:pä:ss"));
        assert!(both().accepts(Some(basic.as_bytes())));
        assert!(both().accepts(Some(b"Bearer t0ken")));
    }

    #[test]
    fn everything_else_is_refused() {
        let wrong = format!("Basic {}", STANDARD.encode("ann:pass"));
        for header in [wrong.as_str(), "Bearer t0ke", "Bearer t0ken2", "Bearer", "Bearer ", "Basic t0ken", "Basic !!", "Digest t0ken", ""] {
            assert!(!both().accepts(Some(header.as_bytes())), "{header}");
        }
        assert!(!both().accepts(None));
        assert!(!Authentication::default().accepts(Some(b"Bearer t0ken")));
    }

    #[test]
    fn a_sender_shows_what_a_receiver_accepts() {
        let header = both().header().unwrap();
        assert!(both().accepts(Some(header.as_bytes())));
    }
}
