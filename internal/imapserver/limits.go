package imapserver

import "time"

// Limits of a session (reliability paper 4.4). Those of one command are in
// imapwire.
const (
	badBeforeLoginMax = 3                // commands that were no IMAP, before login
	badMax            = 20               // and after, one behind the other
	loginTimeMax      = time.Minute      // from the greeting to the login, unless the options say otherwise
	idleTimeMax       = 31 * time.Minute // silence after login, likewise; RFC 3501 §5.4 asks for 30
	doneMax           = 1024             // octets of the line that ends IDLE
	saslStepsMax      = 5                // responses of one exchange
	sessionsMax       = 100              // of one account
	// Of one account from one address; loopback does not count.
	sessionsPerAddressMax = 30
	changeTimeMax         = time.Minute      // of computing one STORE, COPY, MOVE or EXPUNGE
	manyMessages          = 4096             // to be changed, that it takes a turn
	goneEvery             = time.Second      // between looks whether a client still waits for a search
	searchTimeMax         = time.Minute      // of one SEARCH, SORT or THREAD
	acrossMax             = 10_000           // messages of one COPY or MOVE into another account
	appendMessagesMax     = 1000             // of one APPEND
	catenatePartsMax      = 1000             // of one message
	urlsMax               = 100              // of one GENURLAUTH or URLFETCH
	idFieldsMax           = 30               // RFC 2971 §3.3
	idValueMax            = 1024             // likewise
	progressEvery         = 10 * time.Second // between words of a long search (RFC 9585)
	contextsMax           = 10               // of one session (RFC 5267 §4.3.1)
	contextKeyMax         = 256 << 10        // octets of one's search in memory, about
	labelsMax             = 100              // of one STORE
	notifyNamesMax        = 1000             // mailboxes that one NOTIFY names
	sharersMax            = 1000             // accounts whose shared mailboxes one user is shown
	patternsMax           = 100              // of one LIST
	patternMax            = 2000             // octets of all of them, with the reference in each
	commandGrace          = 10 * time.Second // for a running command when the server stops
	foundCommandsMax      = 100              // octets of an unknown command's name in logs
)

// MessageMax is the largest message taken, unless the options say otherwise.
const MessageMax = 50 << 20
