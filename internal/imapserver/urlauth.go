package imapserver

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"slices"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// mechInternal is the authorization mechanism that there is (RFC 4467 §2.4.1).
const mechInternal = "INTERNAL"

// tokenHMAC is the first octet of a token that store.AccessKey made: it names
// the algorithm, so that there can be another (RFC 4467 §10).
const tokenHMAC = 1

// accessIdentifiers holds those of RFC 4467 §3, with a user where they end in
// "+".
var accessIdentifiers = map[string]bool{"submit+": true, "user+": true, "authuser": true, "anonymous": true}

// errUnknownMechanism refuses to authorize URLs by a mechanism that is not here.
var errUnknownMechanism = &refusal{"CANNOT", "there is no such authorization mechanism"}

// urlToken returns the token of a rump URL. The URL's server is signed with the
// rest, so that it needs no check: a server has many names.
func urlToken(k store.AccessKey, rump string) []byte {
	return append([]byte{tokenHMAC}, k.Token(rump)...)
}

// urlMech sends the authorization mechanisms of the selected mailbox (RFC 4467
// §7). INTERNAL has no data that would need privacy (§10).
func (s *session) urlMech(text string) {
	if s.offers("URLAUTH") {
		s.line("* OK [URLMECH " + mechInternal + "] " + text)
	}
}

// readURL reads a URL. Ranges of octets in it are a capability of their own
// (RFC 5550).
func (s *session) readURL(text string) (u imapwire.URL, ok bool) {
	u, ok = imapwire.ParseURL(text)
	return u, ok && (!u.Partial || s.offers("URL-PARTIAL"))
}

// isUser reports whether a login name is that of the user of this session.
func (s *session) isUser(ctx context.Context, name string) bool {
	id, err := s.srv.auth.Find(ctx, name)
	return err == nil && id.Account == s.user.Account
}

// admitted reports whether an access identifier allows this session (RFC 4467
// §3). There are no anonymous sessions, which authuser would not allow. Who is
// a submission server is asked each time, since it may have changed.
func (s *session) admitted(ctx context.Context, a *imapwire.URLAuth) bool {
	switch a.Access {
	case "authuser", "anonymous":
		return true
	case "user+":
		return s.isUser(ctx, a.AccessUser)
	case "submit+":
		return slices.ContainsFunc(s.srv.opts.Load().SubmitUsers, func(name string) bool { return s.isUser(ctx, name) })
	}
	return false
}

// redeem finds the message that an authorized URL names, in whatever account
// (RFC 4467 §6); nil when it is not to be had. A client cannot tell the reasons
// apart: a token is computed and compared in any case.
func (s *session) redeem(ctx context.Context, u *imapwire.URL) (*store.Message, error) {
	if u.Form != imapwire.URLAbsolute || u.User == "" || u.Mechanism != mechInternal {
		return nil, nil
	}
	acct, box, key, err := s.urlMailbox(ctx, u)
	if err != nil {
		return nil, err
	}
	token, err := hex.DecodeString(u.Token)
	valid := hmac.Equal(token, urlToken(key, u.Rump)) && err == nil
	if !valid || box == nil || !s.admitted(ctx, &u.URLAuth) || u.Expires && s.srv.store.Now().After(u.Expire) {
		return nil, nil
	}
	return urlMessage(ctx, acct, box.ID, u)
}

// urlMailbox finds a URL's mailbox and its access key; nil when there is none.
func (s *session) urlMailbox(ctx context.Context, u *imapwire.URL) (a *store.Account, box *store.Mailbox, key store.AccessKey, err error) {
	var now *store.Snapshot
	owner, err := s.srv.auth.Find(ctx, u.User)
	if err == nil {
		a, err = s.srv.store.Account(ctx, owner.Account)
	}
	if err == nil {
		now, err = a.Snapshot()
	}
	if err == nil {
		box, err = now.Mailbox(u.Mailbox)
	}
	if err == nil {
		key = now.AccessKey(box.ID)
	}
	if errs.Is(err, errs.NotFound) {
		err = nil
	}
	return a, box, key, err
}

// urlMessage finds a URL's message in its mailbox; nil when it is not there.
func urlMessage(ctx context.Context, a *store.Account, id store.MailboxID, u *imapwire.URL) (*store.Message, error) {
	box, list, err := a.Messages(ctx, id)
	if errs.Is(err, errs.NotFound) || err == nil && u.UIDValidity != 0 && u.UIDValidity != box.UIDValidity {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i, ok := list.Find(mail.UID(u.UID))
	if !ok {
		return nil, nil
	}
	return list.At(i), nil
}
