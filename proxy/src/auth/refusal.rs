//! Why a request is refused: a closed list of reasons, each with its code, class and phrase.

use crate::snapshot::ids::ProviderId;

/// A request without a token good enough for its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong; for the log and the counters.
    pub reason: Reason,
    /// The provider that the token's unverified `iss` chose, once it has.
    pub provider: Option<ProviderId>,
    /// The key that the token's header names: unverified, at most 256 bytes, no control characters.
    pub kid: Option<Box<str>>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, provider: None, kid: None }
    }
}

/// What kind of answer a refusal gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// No token: 401 with a bare challenge.
    Missing,
    /// The token cannot even be found in the request: 400.
    InvalidRequest,
    /// 401 `invalid_token`.
    InvalidToken,
    /// 403 `insufficient_scope`.
    InsufficientScope,
    /// 403 without a challenge: another token of the same client would not help.
    Denied,
    /// 503: no keys were ever loaded for the issuer; not the client's fault.
    NoKeys,
}

/// Declares reasons: `Variant = Class "code" "phrase", "doc"`.
macro_rules! reasons {
    ($($variant:ident = $class:ident $code:literal $phrase:literal $doc:literal;)*) => {
        /// What is wrong with a request's token.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $doc] $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of the declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name in log lines and metrics.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("auth.", $code),)*
                }
            }

            /// What kind of answer it gets.
            #[must_use]
            pub fn class(self) -> Class {
                match self {
                    $(Self::$variant => Class::$class,)*
                }
            }

            /// What is wrong, in words for operators.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }

            /// What the client is told: one of these phrases, never a part of what it sent.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $phrase,)*
                }
            }

            /// The value of the field that tells an upstream, on a permissive route, that the
            /// token was bad.
            #[must_use]
            pub fn status_field_value(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("invalid;reason=auth.", $code),)*
                }
            }
        }
    };
}

reasons! {
    Missing = Missing "missing" "no token"
        "No bearer token on a strict route.";
    MultipleCredentials = InvalidRequest "multiple_credentials" "more than one set of credentials"
        "More than one field, cookie or parameter with a token, a list in one, or tokens in several places.";
    MalformedCredentials = InvalidRequest "malformed_credentials" "malformed credentials"
        "The scheme is right and what follows is not a space and a token, or the token is empty.";
    TokenTooLong = InvalidToken "token_too_long" "token too long"
        "More bytes than the provider allows.";
    TokenCharacters = InvalidToken "token_characters" "malformed token"
        "A byte outside base64url and the dot.";
    TokenSegments = InvalidToken "token_segments" "malformed token"
        "Not exactly three segments, or an empty one.";
    TokenEncoding = InvalidToken "token_encoding" "malformed token"
        "A segment that is not canonical base64url.";
    HeaderJson = InvalidToken "header_json" "malformed token header"
        "The header is not one JSON object within the limits.";
    HeaderDuplicate = InvalidToken "header_duplicate" "malformed token header"
        "A member of the header is there twice.";
    HeaderMember = InvalidToken "header_member" "malformed token header"
        "A member of the header has a type or form it must not have.";
    Algorithm = InvalidToken "algorithm" "algorithm not supported"
        "`alg` is missing, no string, or no algorithm known here; `none` is not known.";
    AlgorithmNotAllowed = InvalidToken "algorithm_not_allowed" "algorithm not allowed"
        "`alg` is not in the provider's allow-list.";
    CriticalExtension = InvalidToken "critical_extension" "critical header not supported"
        "`crit` is there; no extension is implemented, so each is refused (RFC 7515 section 4.1.11).";
    UnencodedPayload = InvalidToken "unencoded_payload" "unencoded payload not allowed"
        "`b64` is there and not true (RFC 7797 section 7).";
    NestedToken = InvalidToken "nested_token" "nested token not supported"
        "`cty` says that the payload is a token.";
    EmbeddedKey = InvalidToken "embedded_key" "embedded key not allowed"
        "The header brings a key or its address, and the provider refuses such tokens.";
    KeyId = InvalidToken "key_id" "malformed key id"
        "`kid` is no string, longer than 256 bytes, or has control characters.";
    KeyIdMissing = InvalidToken "key_id_missing" "key id missing"
        "No `kid`, and the provider asks for one.";
    TokenType = InvalidToken "token_type" "wrong token type"
        "`typ` is not one that the provider asks for.";
    ClaimsJson = InvalidToken "claims_json" "malformed claims"
        "The payload is not one JSON object within the limits.";
    ClaimsDuplicate = InvalidToken "claims_duplicate" "malformed claims"
        "A claim is there twice.";
    Issuer = InvalidToken "issuer" "unknown issuer"
        "`iss` is missing, no string, or not exactly that of a provider of the route.";
    UnknownKey = InvalidToken "unknown_key" "unknown key"
        "No key of the provider has this `kid`, or none fits a token without one.";
    KeyAlgorithm = InvalidToken "key_algorithm" "algorithm does not fit the key"
        "The key of this `kid` is not for this algorithm.";
    AmbiguousKey = InvalidToken "ambiguous_key" "key id missing"
        "More keys would fit than are tried.";
    Signature = InvalidToken "signature" "invalid signature"
        "No key that fits has made the signature.";
    Audience = InvalidToken "audience" "wrong audience"
        "`aud` is missing, malformed, or has none of the provider's audiences.";
    Date = InvalidToken "date" "malformed date"
        "`exp`, `nbf` or `iat` is no number of seconds between the epoch and the year 9999.";
    ExpiryMissing = InvalidToken "expiry_missing" "expiry missing"
        "No `exp`, and the provider asks for one.";
    Expired = InvalidToken "expired" "token expired"
        "`exp` and the leeway have passed.";
    NotYetValid = InvalidToken "not_yet_valid" "token not yet valid"
        "`nbf` is further away than the leeway.";
    IssuedInFuture = InvalidToken "issued_in_future" "token issued in the future"
        "`iat` is further away than the leeway.";
    TooOld = InvalidToken "too_old" "token too old"
        "Issued longer ago than the provider allows, or it does not say when.";
    LifetimeTooLong = InvalidToken "lifetime_too_long" "token lifetime too long"
        "Longer to live than the provider allows.";
    ClaimMissing = InvalidToken "claim_missing" "required claim missing"
        "A claim that the provider's profile asks for is missing or no string.";
    ClaimHeaders = InvalidToken "claim_headers" "claims too long"
        "The request fields made from its claims would be longer than the limit.";
    Certificate = InvalidToken "certificate" "token bound to another certificate"
        "It is bound to a certificate that the client has not shown (RFC 8705), or to none, and the provider asks for it.";
    IdentityRule = InvalidToken "identity_rule" "required claim missing"
        "A rule of the route about who the token is from, for or about does not hold.";
    ScopeRule = InsufficientScope "scope_rule" "insufficient scope"
        "A rule of the route about the scope does not hold.";
    EntitlementRule = Denied "entitlement_rule" "not allowed"
        "Another rule of the route does not hold.";
    Revoked = InvalidToken "revoked" "token revoked"
        "An entry of the deny list names it, its subject, its session or its key.";
    NoKeys = NoKeys "no_keys" "keys not loaded"
        "No keys were ever loaded for the provider.";
}

impl Reason {
    /// The position in [`Reason::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}
