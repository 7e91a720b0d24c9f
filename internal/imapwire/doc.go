// Package imapwire is IMAP's grammar (RFC 3501 §9): octets to values and back.
// It knows no session and no mailbox.
//
// Limits sit in the Decoder and are charged per command, never in a grammar
// rule.
package imapwire

// Limits of one command (reliability paper 4.4).
const (
	CommandMax      = 2 << 20   // octets of a command's lines and literals after login; UID sets of SOGo and of sync tools have 1 MiB
	LiteralMax      = 128 << 10 // octets of a literal after login
	BeforeLoginMax  = 8 << 10   // octets of each of these before login, when nobody is known
	LiteralsMax     = 1000      // literals of one command
	DepthMax        = 64        // nested parentheses
	TokensMax       = 100_000   // tokens of one command
	SearchKeysMax   = 10_000    // keys of one search; each is some 600 octets while it runs
	NonSyncMax      = 4096      // LITERAL- (RFC 7888 §5)
	FetchItemsMax   = 100       // data items of one FETCH: each is answered for each message
	FieldNamesMax   = 1000      // header field names of one section: each is compared with each field
	numberDigitsMax = 19
)

// Limits are those that logging in changes, in octets. Messages do not count.
type Limits struct {
	Command int64 // of all lines and literals of a command: as much of it may be kept
	Literal int64
}

var (
	BeforeLogin = Limits{BeforeLoginMax, BeforeLoginMax}
	AfterLogin  = Limits{CommandMax, LiteralMax}
)
