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
	for c := range strings.FieldsSeq(s.uncut()) {
		name, _, _ := strings.Cut(c, "APPENDLIMIT=")
		if s.cut[c] || c == capCompress && s.conn.Compressed() || c == capApplePush && s.state == notAuthenticated || name == "" && s.cut["APPENDLIMIT"] {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(c)
	}
	return b.String()
}

// capabilitiesUsual is how long the list mostly is. What would be made on the way
// to it is there while a client that nobody knows does not read the answer.
const capabilitiesUsual = 1500 // octets

// uncut returns what it can do with nothing cut.
func (s *session) uncut() string {
	var b strings.Builder
	b.Grow(capabilitiesUsual)
	b.WriteString("IMAP4rev1 IMAP4rev2 " + s.literals())
	b.WriteString(s.srv.caps)
	b.WriteString(" APPENDLIMIT=" + strconv.FormatInt(s.opts.MessageMax, 10)) // RFC 7889 §2
	b.WriteString(s.opts.limitCapability())
	if s.offers("ACL") {
		b.WriteString(" RIGHTS=" + mail.ExtraRights) // RFC 4314 §2.2
	}
	if s.state != notAuthenticated {
		return b.String()
	}
	if s.conn.TLSAvailable() {
		b.WriteString(" STARTTLS")
	}
	if !s.conn.Secure() {
		b.WriteString(" LOGINDISABLED")
		return b.String()
	}
	for _, m := range sasl.Names() {
		b.WriteString(" AUTH=" + m)
	}
	return b.String()
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
