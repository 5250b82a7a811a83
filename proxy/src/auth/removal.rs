//! What of a request is left out upstream because it is its token.

use super::presented::{Places, cookie_value, parameter_value};
use crate::http1::names_alike;
use crate::snapshot::credentials::TokenLocation;

/// The fields, cookies and parameters to leave out; everything else is forwarded byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct Removal<'p> {
    locations: &'p [TokenLocation],
    places: Places,
}

impl<'p> Removal<'p> {
    /// Nothing is left out.
    #[must_use]
    pub fn nothing() -> Self {
        Self { locations: &[], places: Places::ALL }
    }

    pub(super) fn new(locations: &'p [TokenLocation], places: Places) -> Self {
        Self { locations, places }
    }

    fn locations(self) -> impl Iterator<Item = &'p TokenLocation> {
        let listed = self.locations.iter().enumerate();
        listed.filter(move |(index, _)| self.places.contains(*index)).map(|(_, location)| location)
    }

    /// Whether the field of this name is left out, with every spelling that an upstream may take
    /// for the same.
    #[must_use]
    pub fn takes_field(self, name: &str) -> bool {
        self.locations().any(|location| match location {
            TokenLocation::Header { name: taken, .. } => names_alike(name, taken),
            TokenLocation::Cookie(_) | TokenLocation::Query(_) => false,
        })
    }

    /// Whether any cookie is left out.
    #[must_use]
    pub fn takes_cookies(self) -> bool {
        self.locations().any(|location| matches!(location, TokenLocation::Cookie(_)))
    }

    /// What is left of a `Cookie` field: pieces to join with `;`.
    pub fn cookies_left(self, value: &[u8]) -> impl Iterator<Item = &[u8]> {
        let left = value.split(|byte| *byte == b';').filter(move |pair| {
            !self.locations().any(|location| match location {
                TokenLocation::Cookie(name) => cookie_value(pair, name).is_some(),
                TokenLocation::Header { .. } | TokenLocation::Query(_) => false,
            })
        });
        // The space after the `;` that now is gone.
        left.enumerate()
            .map(|(index, pair)| if index == 0 { pair.trim_ascii_start() } else { pair })
    }

    /// Whether any parameter of the query is left out.
    #[must_use]
    pub fn takes_parameters(self) -> bool {
        self.locations().any(|location| matches!(location, TokenLocation::Query(_)))
    }

    /// What is left of a query: pieces to join with `&`.
    pub fn parameters_left(self, query: &str) -> impl Iterator<Item = &str> {
        query.split('&').filter(move |part| {
            !self.locations().any(|location| match location {
                TokenLocation::Query(name) => parameter_value(part, name).is_some(),
                TokenLocation::Header { .. } | TokenLocation::Cookie(_) => false,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e7_only_the_named_parameter_goes() {
        let locations = [TokenLocation::Query("access_token".into())];
        let removal = Removal::new(&locations, Places::ALL);
        for (query, left) in [
            ("access_token=x", vec![]),
            ("a=1&access_token=x&b=%20", vec!["a=1", "b=%20"]),
            ("&access%5Ftoken=x&", vec!["", ""]),
            ("Access_token=x", vec!["Access_token=x"]),
        ] {
            assert_eq!(removal.parameters_left(query).collect::<Vec<_>>(), left, "{query}");
        }
        assert!(removal.takes_parameters() && !removal.takes_cookies());
        assert!(!Removal::nothing().takes_parameters());
    }

    #[test]
    fn e8_only_the_named_cookie_goes() {
        let locations = [TokenLocation::Cookie("tok".into())];
        let removal = Removal::new(&locations, Places::ALL);
        for (value, left) in [
            ("tok=x", ""),
            ("a=1; tok=x; b=\"2, 3\"", "a=1; b=\"2, 3\""),
            ("tok=x;  b=2 ;c", "b=2 ;c"),
            ("a=1;tok=x", "a=1"),
            ("Tok=x; a", "Tok=x; a"),
        ] {
            let kept: Vec<_> = removal.cookies_left(value.as_bytes()).collect();
            assert_eq!(kept.join(&b';'), left.as_bytes(), "{value}");
        }
    }

    #[test]
    fn e6_what_was_not_found_stays() {
        let header = |name: &str| TokenLocation::Header { name: name.into(), prefix: "".into() };
        let locations = [header("authorization"), header("x-token")];
        let removal = Removal::new(&locations, Places::of(1));
        assert!(!removal.takes_field("Authorization"));
        assert!(removal.takes_field("X-Token") && removal.takes_field("x_token"));
    }
}
