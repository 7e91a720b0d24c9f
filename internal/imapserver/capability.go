package imapserver

import (
	"context"
	"math"
	"slices"
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
	return strings.Join(slices.DeleteFunc(strings.Fields(s.uncut()), func(c string) bool {
		name, _, _ := strings.Cut(c, "APPENDLIMIT=")
		return s.cut[c] || c == capCompress && s.conn.Compressed() || c == capApplePush && s.state == notAuthenticated || name == "" && s.cut["APPENDLIMIT"]
	}), " ")
}

// uncut returns what it can do with nothing cut.
func (s *session) uncut() string {
	caps := "IMAP4rev1 IMAP4rev2 " + s.literals() + s.srv.caps
	caps += " APPENDLIMIT=" + strconv.FormatInt(s.opts.MessageMax, 10) // RFC 7889 §2
	caps += s.opts.limitCapability()
	if s.offers("ACL") {
		caps += " RIGHTS=" + mail.ExtraRights // RFC 4314 §2.2
	}
	if s.state != notAuthenticated {
		return caps
	}
	if s.conn.TLSAvailable() {
		caps += " STARTTLS"
	}
	if !s.conn.Secure() {
		return caps + " LOGINDISABLED"
	}
	for _, m := range sasl.Names() {
		caps += " AUTH=" + m
	}
	return caps
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
