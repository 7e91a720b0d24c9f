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
	for _, some := range s.uncut() {
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

// uncut returns what it can do with nothing cut; some elements name several capabilities.
func (s *session) uncut() []string {
	all := []string{"IMAP4rev1 IMAP4rev2", s.literals(), s.srv.caps,
		"APPENDLIMIT=" + strconv.FormatInt(s.opts.MessageMax, 10), // RFC 7889 §2
		s.opts.limitCapability()}
	if s.offers("ACL") {
		all = append(all, "RIGHTS="+mail.ExtraRights) // RFC 4314 §2.2
	}
	if s.state != notAuthenticated {
		return all
	}
	if s.conn.TLSAvailable() {
		all = append(all, "STARTTLS")
	}
	if !s.conn.Secure() {
		return append(all, "LOGINDISABLED")
	}
	for _, m := range sasl.Names() {
		all = append(all, "AUTH="+m)
	}
	return all
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
