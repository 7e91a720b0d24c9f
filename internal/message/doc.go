// Package message reads RFC 5322 and MIME: one pass over a message's octets
// gives a Summary with the exact place of every part, which is stored beside
// the message and answers most of what IMAP asks.
//
// The parser is linear, non-recursive and bounded: what exceeds its limits is
// left opaque, never refused and never altered. Octets are not changed; a bare
// LF ends a line as CRLF does.
//
// Where the RFCs are silent:
//   - A line without a colon inside a header stays part of the header and is
//     ignored. The header ends at the first empty line.
//   - A multipart without a usable boundary parameter, or in which no boundary
//     line was found, is a leaf of its own type; its body is opaque text.
//   - message/rfc822 with a transfer encoding other than 7bit, 8bit or binary,
//     which RFC 2046 §5.2.1 forbids, is a leaf.
//   - Several address fields of one name count as one list; of other fields the
//     first one counts.
package message

// Limits. What lies beyond is stored and served but not looked at.
const (
	HeaderMax       = 1 << 20   // octets of one header block that are parsed
	FieldMax        = 256 << 10 // octets of one field; a longer one is ignored
	FieldsMax       = 5000      // fields of one header block
	AddressesMax    = 10000     // addresses of one message, all envelopes together
	DepthMax        = 100       // nesting of parts
	PartsMax        = 10000     // parts of one message; the rest is opaque
	BoundaryMax     = 256       // octets of a boundary
	ParamsMax       = 128       // parameters of one field
	KeptFieldsMax   = 4 << 10   // octets of top-level header fields kept in the summary
	commentDepthMax = 1000      // nested comments in one field
)
