//! Why a message is refused: one stable code for each reason, for logs, counters and answers.

use super::diagnosis::HeadFault;
use super::framing::FramingFault;

/// Declares an enum of reasons, each with its stable code and its text.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $code:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum $name {
            $(#[doc = $text] #[error($text)] $variant,)+
        }

        impl $name {
            /// Every reason, in the order of [`Self::index`].
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable code of the reason.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// What is wrong, in words.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The position of the reason in [`Self::ALL`].
            #[must_use]
            pub fn index(self) -> usize {
                self as usize
            }
        }
    };
}

reasons! {
    /// Why a request head is refused. Always the client's fault.
    RequestError {
        LeadingEmptyLine = "head.leading_empty_line", "more than one empty line before the request line";
        BareLf = "head.bare_lf", "a line ends in LF without CR";
        BareCr = "head.bare_cr", "a CR without LF after it";
        ControlByte = "head.control_byte", "a control byte in a field value";
        ObsoleteFold = "head.obs_fold", "a field line begins with whitespace";
        SpaceInName = "head.space_in_name", "whitespace in a field name or before its colon";
        FieldName = "head.field_name", "a field name is empty, has a byte that no name has, or no colon after it";
        HeadTooLong = "limit.head_bytes", "the head has more bytes than allowed";
        TooManyFields = "limit.head_fields", "the head has more fields than allowed";
        Method = "request_line.method", "the method is not a token followed by one space";
        MethodTooLong = "limit.method_bytes", "the method has more bytes than any known one";
        RequestLine = "request_line.end", "the request line does not end after the version";
        Http09 = "version.http09", "the request line has no version (HTTP/0.9)";
        Http2Preface = "version.http2_preface", "an HTTP/2 connection preface on an HTTP/1.1 listener";
        Version = "version.syntax", "the version is not HTTP/ and two digits";
        VersionUnsupported = "version.unsupported", "a version other than HTTP/1.0 and HTTP/1.1";
        TargetTooLong = "limit.target_bytes", "the request target has more bytes than allowed";
        TargetByte = "target.byte", "the request target has a byte that no target has";
        TargetForm = "target.form", "the request target has not the form that its method asks for";
        TargetScheme = "target.scheme", "an absolute request target is neither http nor https";
        TargetEncoding = "target.encoding", "the path has a broken percent-encoding or an encoded NUL";
        TargetDotSegment = "target.dot_segment", "the path has a . or .. segment, plain or encoded, that is not resolved";
        TargetEncodedSlash = "target.encoded_slash", "the path has an encoded slash or backslash, and the configuration refuses them";
        HostMissing = "host.missing", "an HTTP/1.1 request without Host";
        HostDuplicate = "host.duplicate", "more than one Host";
        HostSyntax = "host.syntax", "the host is not a name or address with an optional port";
        HostMismatch = "host.mismatch", "Host and the request target name different hosts";
        LengthSyntax = "framing.length_syntax", "Content-Length is not 1 to 19 digits";
        LengthDuplicate = "framing.length_duplicate", "more than one Content-Length";
        CodingAndLength = "framing.te_and_cl", "both Transfer-Encoding and Content-Length";
        CodingDuplicate = "framing.te_duplicate", "more than one Transfer-Encoding";
        CodingSyntax = "framing.te_syntax", "the last transfer coding is not chunked, once";
        CodingUnknown = "framing.te_unknown", "a transfer coding other than chunked";
        CodingHttp10 = "framing.te_http10", "Transfer-Encoding in an HTTP/1.0 message";
        FramingAlias = "framing.alias", "a field whose name some recipients take for Content-Length or Transfer-Encoding";
        ConnectBody = "framing.connect_body", "a body announced on CONNECT";
        ConnectionSyntax = "connection.syntax", "Connection is not a list of tokens";
        ConnectionOptions = "limit.connection_options", "Connection lists more options than allowed";
        ConnectionProtected = "connection.protected", "Connection lists a field that may not be removed";
        Expectation = "expect.unknown", "an expectation other than 100-continue";
    }
}

impl RequestError {
    /// The status of the answer to such a request.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLong | Self::TooManyFields | Self::ConnectionOptions => 431,
            // RFC 9112 section 3 (method) and 6.1 (transfer coding).
            Self::MethodTooLong | Self::CodingUnknown => 501,
            Self::Http2Preface | Self::VersionUnsupported => 505,
            Self::LeadingEmptyLine
            | Self::BareLf
            | Self::BareCr
            | Self::ControlByte
            | Self::ObsoleteFold
            | Self::SpaceInName
            | Self::FieldName
            | Self::Method
            | Self::RequestLine
            | Self::Http09
            | Self::Version
            | Self::TargetByte
            | Self::TargetForm
            | Self::TargetScheme
            | Self::TargetEncoding
            | Self::TargetDotSegment
            | Self::TargetEncodedSlash
            | Self::HostMissing
            | Self::HostDuplicate
            | Self::HostSyntax
            | Self::HostMismatch
            | Self::LengthSyntax
            | Self::LengthDuplicate
            | Self::CodingAndLength
            | Self::CodingDuplicate
            | Self::CodingSyntax
            | Self::CodingHttp10
            | Self::FramingAlias
            | Self::ConnectBody
            | Self::ConnectionSyntax
            | Self::ConnectionProtected => 400,
        }
    }
}

reasons! {
    /// Why a response head is refused. Always the upstream's fault.
    ResponseError {
        StatusLine = "status_line.syntax", "the status line is not a version, three digits and a reason";
        VersionUnsupported = "version.unsupported", "a version other than HTTP/1.0 and HTTP/1.1";
        Status = "status_line.status", "a status outside 100 to 599";
        BareLf = "head.bare_lf", "a line ends in LF without CR";
        BareCr = "head.bare_cr", "a CR without LF after it";
        ControlByte = "head.control_byte", "a control byte in a field value";
        ObsoleteFold = "head.obs_fold", "a field line begins with whitespace";
        SpaceInName = "head.space_in_name", "whitespace in a field name or before its colon";
        FieldName = "head.field_name", "a field name is empty, has a byte that no name has, or no colon after it";
        HeadTooLong = "limit.head_bytes", "the head has more bytes than allowed";
        TooManyFields = "limit.head_fields", "the head has more fields than allowed";
        LengthSyntax = "framing.length_syntax", "Content-Length is not 1 to 19 digits";
        LengthDuplicate = "framing.length_duplicate", "more than one Content-Length";
        CodingAndLength = "framing.te_and_cl", "both Transfer-Encoding and Content-Length";
        CodingDuplicate = "framing.te_duplicate", "more than one Transfer-Encoding";
        CodingSyntax = "framing.te_syntax", "the last transfer coding is not chunked, once";
        CodingUnknown = "framing.te_unknown", "a transfer coding other than chunked";
        CodingHttp10 = "framing.te_http10", "Transfer-Encoding in an HTTP/1.0 message";
        FramingAlias = "framing.alias", "a field whose name some recipients take for Content-Length or Transfer-Encoding";
        ConnectionSyntax = "connection.syntax", "Connection is not a list of tokens";
        ConnectionOptions = "limit.connection_options", "Connection lists more options than allowed";
    }
}

reasons! {
    /// Why a chunked body is refused. The fault of whoever sent it.
    ChunkedError {
        Size = "chunked.size", "a chunk size is not hexadecimal digits";
        SizeTooLong = "chunked.size_too_long", "a chunk size has more than 16 digits";
        Extension = "chunked.extension", "a control byte in a chunk extension";
        Overhead = "limit.chunk_overhead", "the chunks of the body have more bytes beside their data than allowed";
        LineEnd = "chunked.line_end", "a chunk-size line does not end in CR LF";
        DataEnd = "chunked.data_end", "the data of a chunk is not followed by CR LF";
        TrailersTooLong = "limit.trailer_bytes", "the trailer section has more bytes than allowed";
        TooManyTrailers = "limit.trailer_fields", "the trailer section has more fields than allowed";
        Trailer = "chunked.trailer", "a trailer line is not a field line";
    }
}

/// Maps the shared reasons onto an enum that has a variant of the same name for each.
macro_rules! from_shared {
    ($fault:ident => $error:ident { $($variant:ident)+ }) => {
        impl From<$fault> for $error {
            fn from(fault: $fault) -> Self {
                match fault {
                    $($fault::$variant => Self::$variant,)+
                }
            }
        }
    };
}

from_shared!(HeadFault => RequestError {
    BareLf BareCr ControlByte ObsoleteFold SpaceInName FieldName
});
from_shared!(HeadFault => ResponseError {
    BareLf BareCr ControlByte ObsoleteFold SpaceInName FieldName
});
from_shared!(FramingFault => RequestError {
    LengthSyntax LengthDuplicate CodingAndLength CodingDuplicate CodingSyntax CodingUnknown CodingHttp10
    FramingAlias
});
from_shared!(FramingFault => ResponseError {
    LengthSyntax LengthDuplicate CodingAndLength CodingDuplicate CodingSyntax CodingUnknown CodingHttp10
    FramingAlias
});

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Checks that codes are distinct and that the index is the position.
    macro_rules! check_reasons {
        ($error:ident) => {
            let codes: HashSet<_> = $error::ALL.iter().map(|reason| reason.code()).collect();
            assert_eq!(codes.len(), $error::ALL.len());
            for (position, reason) in $error::ALL.iter().enumerate() {
                assert_eq!(reason.index(), position);
            }
        };
    }

    #[test]
    fn codes_are_distinct_and_the_index_is_the_position() {
        check_reasons!(RequestError);
        check_reasons!(ResponseError);
        check_reasons!(ChunkedError);
    }
}
