package imapserver

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/sasl"
)

// capability is CAPABILITY (RFC 3501 §6.1.1).
func (s *session) capability(context.Context) error {
	s.conn.WriteString("* CAPABILITY ")
	s.line(s.capabilities())
	return nil
}

// capabilities returns what the server can do in this state.
func (s *session) capabilities() string {
	var b strings.Builder
	b.Grow(capabilitiesUsual)
	for some := range s.uncut {
		for c := range strings.FieldsSeq(some) {
			name, _, _ := strings.Cut(c, "APPENDLIMIT=")
			if s.cut[c] || c == capCompress && s.conn.Compressed() || c == capApplePush && s.state == notAuthenticated || name == "" && s.cut["APPENDLIMIT"] {
				continue
			}
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(c)
		}
	}
	return b.String()
}

// capabilitiesUsual is how long the list mostly is. What would be made on the way
// to it is there while a client that nobody knows does not read the answer.
const capabilitiesUsual = 1500 // octets

// uncut tells what it can do with nothing cut, some capabilities at a time.
func (s *session) uncut(yield func(some string) bool) {
	_ = yield("IMAP4rev1 IMAP4rev2 "+s.literals()) &&
		yield(s.srv.caps) &&
		yield("APPENDLIMIT="+strconv.FormatInt(s.opts.MessageMax, 10)) && // RFC 7889 §2
		yield(s.opts.limitCapability()) &&
		(!s.offers("ACL") || yield("RIGHTS="+mail.ExtraRights)) && // RFC 4314 §2.2
		(s.state != notAuthenticated || s.uncutBeforeLogin(yield))
}

// uncutBeforeLogin is what uncut tells a client that has not logged in.
func (s *session) uncutBeforeLogin(yield func(some string) bool) (more bool) {
	if s.conn.TLSAvailable() && !yield("STARTTLS") {
		return false
	}
	if !s.conn.Secure() {
		return yield("LOGINDISABLED")
	}
	for _, m := range sasl.Names() {
		if !yield("AUTH=" + m) {
			return false
		}
	}
	return true
}

// literals is the capability of literals that do not wait (RFC 7888).
func (s *session) literals() string {
	if s.opts.LiteralMinus {
		return "LITERAL-"
	}
	return "LITERAL+"
}

// nonSync returns how many octets such a literal may have; -1: there is none.
func (s *session) nonSync() int64 {
	switch {
	case !s.offers(s.literals()):
		return -1
	case s.opts.LiteralMinus:
		return imapwire.NonSyncMax
	}
	return math.MaxInt64
}
