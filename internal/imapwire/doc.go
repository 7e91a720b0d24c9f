// Package imapwire is IMAP's grammar (RFC 3501 §9): octets to values and back.
// It knows no session and no mailbox.
//
// Limits sit in the Decoder and are charged per command, never in a grammar
// rule.
package imapwire

// Limits of one command (reliability paper 4.4).
const (
	LineMax         = 2 << 20   // octets of a line after login; UID sets of SOGo and of sync tools have 1 MiB
	LiteralMax      = 128 << 10 // octets of a literal after login that is not a message
	LiteralSumMax   = 1 << 20   // octets of all of them
	BeforeLoginMax  = 8 << 10   // octets of each of these before login, when nobody is known
	LiteralsMax     = 1000      // literals of one command
	DepthMax        = 64        // nested parentheses
	TokensMax       = 100_000   // tokens of one command
	NonSyncMax      = 4096      // LITERAL- (RFC 7888 §5)
	FetchItemsMax   = 100       // data items of one FETCH: each is answered for each message
	FieldNamesMax   = 1000      // header field names of one section: each is compared with each field
	numberDigitsMax = 19
)

// Limits are those that logging in changes, in octets.
type Limits struct {
	Line       int
	Literal    int64
	LiteralSum int64
}

var (
	BeforeLogin = Limits{BeforeLoginMax, BeforeLoginMax, BeforeLoginMax}
	AfterLogin  = Limits{LineMax, LiteralMax, LiteralSumMax}
)
