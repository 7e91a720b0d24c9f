package imapserver

import (
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// parseXList is XLIST, LIST as Gmail had it before RFC 6154 and as iOS 4 and
// Outlook 2013 ask for it: what mailboxes are for is told in other words.
func parseXList(s *session, d *imapwire.Decoder) request {
	l := listRequest{xlist: true}
	d.Space()
	l.reference = d.Mailbox()
	d.Space()
	l.addPattern(d)
	return l.run
}

// xlistUses holds the words that are not those of RFC 6154 §2.
var xlistUses = map[string]string{`\All`: `\AllMail`, `\Flagged`: `\Starred`, `\Junk`: `\Spam`}

// uses returns what a mailbox is for, in the words of LIST or XLIST.
func (l *listRequest) uses(box *store.Mailbox) []string {
	names := box.SpecialUse.Names()
	if !l.xlist {
		return names
	}
	for i, name := range names {
		if x := xlistUses[name]; x != "" {
			names[i] = x
		}
	}
	if box.Name == mail.Inbox {
		names = append(names, `\Inbox`)
	}
	return names
}

// response is the name of the answer.
func (l *listRequest) response() string {
	if l.xlist {
		return "XLIST"
	}
	return "LIST"
}
