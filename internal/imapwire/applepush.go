package imapwire

import (
	"encoding/hex"
	"strings"
)

// Limits of XAPPLEPUSHSERVICE.
const (
	applePushWordsMax     = 20   // names with a value, known or not
	applePushTextMax      = 100  // octets of a value, and of a device's token
	applePushMailboxesMax = 1000 // that are named
)

// ApplePush is the arguments of XAPPLEPUSHSERVICE.
type ApplePush struct {
	Version   int // of the extension, 1 or more
	AccountID string
	Device    string // octets of the token
	Subtopic  string
	Mailboxes []string // nil: none are named
}

// ApplePush reads names, each with a value, in any order: the version, the
// device's name for the account, its token, what is pushed to, and mailboxes
// (version 2). Names that are not known are passed over.
func (d *Decoder) ApplePush() (p ApplePush) {
	seen := map[string]bool{}
	for n := 0; n == 0 || d.Take(' '); n++ {
		name := strings.ToLower(d.AString())
		d.Space()
		switch {
		case d.err != nil:
			return p
		case seen[name], n == applePushWordsMax:
			d.Fail("too many words, or one is there twice")
			return p
		}
		seen[name] = true
		d.applePushValue(&p, name)
	}
	for _, name := range []string{"aps-version", "aps-account-id", "aps-device-token", "aps-subtopic"} {
		if !seen[name] {
			d.Fail(name + " is missing")
		}
	}
	return p
}

func (d *Decoder) applePushValue(p *ApplePush, name string) {
	switch name {
	case "aps-version":
		p.Version = d.applePushVersion()
	case "aps-account-id":
		p.AccountID = d.applePushText(name, applePushTextMax)
	case "aps-device-token":
		token, err := hex.DecodeString(d.applePushText(name, 2*applePushTextMax))
		if err != nil {
			d.Fail("aps-device-token is not hexadecimal")
		}
		p.Device = string(token)
	case "aps-subtopic":
		p.Subtopic = d.applePushText(name, applePushTextMax)
	case "mailboxes":
		p.Mailboxes = []string{}
		d.List(func() {
			if len(p.Mailboxes) == applePushMailboxesMax {
				d.Fail("too many mailboxes")
				return
			}
			p.Mailboxes = append(p.Mailboxes, d.Mailbox())
		})
	default:
		if d.Peek() == '(' {
			d.List(func() { d.AString() })
		} else {
			d.AString()
		}
	}
}

// applePushVersion reads a number that may stand in quotes.
func (d *Decoder) applePushVersion() int {
	s := d.AString()
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' || n > 99 {
			n = 0
			break
		}
		n = n*10 + int(c-'0')
	}
	if n == 0 {
		d.Fail("aps-version is no version")
	}
	return n
}

// applePushText reads a text of ASCII that is not empty.
func (d *Decoder) applePushText(name string, max int) string {
	s := d.AString()
	if s == "" || len(s) > max || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		d.Fail(name + " is empty, too long or not ASCII")
	}
	return s
}
