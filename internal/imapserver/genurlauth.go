package imapserver

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// rumpURL is a URL that is to be authorized.
type rumpURL struct {
	imapwire.URL
	mechanism string
}

// parseGenURLAuth is GENURLAUTH (RFC 4467 §7): all of the URLs or none.
func parseGenURLAuth(s *session, d *imapwire.Decoder) request {
	var urls []rumpURL
	for more := true; more && d.Err() == nil; more = d.Peek() == ' ' {
		if len(urls) == urlsMax {
			d.Fail("too many URLs in one command")
			break
		}
		d.Space()
		text := d.AString()
		d.Space()
		r := rumpURL{mechanism: d.Word()}
		if d.Err() == nil {
			r.URL = s.readRump(d, text)
		}
		urls = append(urls, r)
	}
	return func(ctx context.Context, s *session) error { return s.generateURLs(ctx, urls) }
}

// readRump reads authimapurlrump.
func (s *session) readRump(d *imapwire.Decoder, text string) imapwire.URL {
	u, ok := s.readURL(text)
	switch {
	case !ok || u.Form != imapwire.URLAbsolute || u.UID == 0:
		d.Fail("expected the absolute IMAP URL of a message")
	case u.Access == "":
		d.Fail("the URL has no access identifier")
	case u.User == "":
		d.Fail("the URL does not say whose mailbox it is")
	case !accessIdentifiers[u.Access]:
		d.Fail("unknown access identifier")
	case u.Mechanism != "":
		d.Fail("the URL is authorized already")
	}
	return u
}

// generateURLs authorizes URLs of this user's mailboxes, whose access keys are
// made where there are none. That the user behind an access identifier exists
// is not checked, since it would tell.
func (s *session) generateURLs(ctx context.Context, urls []rumpURL) error {
	for i := range urls {
		if urls[i].mechanism != mechInternal {
			return errUnknownMechanism
		}
		if !s.isUser(ctx, urls[i].User) {
			return &imapwire.SyntaxError{Text: "the URL is of no mailbox of yours"}
		}
	}
	var out []byte
	err := s.update(ctx, func(tx *store.Tx) error {
		out = append(out[:0], "* GENURLAUTH"...)
		for i := range urls {
			token, err := rumpToken(tx, &urls[i].URL)
			if err != nil {
				return err
			}
			full := urls[i].Rump + ":" + strings.ToLower(mechInternal) + ":" + hex.EncodeToString(token)
			out = imapwire.AppendString(append(out, ' '), full)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = s.conn.Write(append(out, "\r\n"...))
	return err
}

// rumpToken returns the token of a URL. A mailbox with another UIDVALIDITY is
// not there (RFC 5092 §5).
func rumpToken(tx *store.Tx, u *imapwire.URL) ([]byte, error) {
	box, err := tx.Snapshot().Mailbox(u.Mailbox)
	if errs.Is(err, errs.NotFound) || err == nil && (box.NoSelect || u.UIDValidity != 0 && u.UIDValidity != box.UIDValidity) {
		return nil, &imapwire.SyntaxError{Text: "the URL's mailbox does not exist"}
	}
	if err != nil {
		return nil, err
	}
	key, err := tx.AccessKey(box.ID)
	if err != nil {
		return nil, err
	}
	return urlToken(key, u.Rump), nil
}
