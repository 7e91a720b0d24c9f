package mail

import (
	"strings"

	"github.com/angarium/angarium/internal/errs"
)

// Rights is a set of the rights of RFC 4314 §2.1, and "n" of RFC 5257 §3.4. The
// bits are stored.
type Rights uint16

const (
	RightLookup     Rights = 1 << iota // l: the mailbox is there
	RightRead                          // r
	RightSeen                          // s: \Seen
	RightWrite                         // w: flags but \Seen and \Deleted
	RightInsert                        // i: APPEND, COPY into it
	RightPost                          // p: mail may be sent to it
	RightCreate                        // k: mailboxes below it
	RightDelete                        // x: the mailbox itself
	RightDeleted                       // t: \Deleted
	RightExpunge                       // e
	RightAdminister                    // a: its ACL
	RightAnnotate                      // n: shared annotations of messages
)

// AllRights is all that there are.
const AllRights = RightAnnotate<<1 - 1

// ExtraRights are the letters that RFC 2086 did not have, for RIGHTS= (RFC 4314
// §2.2).
const ExtraRights = "kxten"

// rightLetters holds the letter of each bit, lowest first.
const rightLetters = "lrswipkxtean"

// The virtual rights of RFC 4314 §2.1.1, of which it leaves two choices: x is
// with k.
const (
	virtualCreate = RightCreate | RightDelete
	virtualDelete = RightDeleted | RightExpunge
)

// Letters returns the letters of the rights: what ParseRights reads as the same
// rights.
func (r Rights) Letters() string {
	var b strings.Builder
	for i, letter := range rightLetters {
		if r&(1<<i) != 0 {
			b.WriteRune(letter)
		}
	}
	return b.String()
}

// String returns the letters as IMAP tells them: with "c" and "d" where a member
// of theirs is set (RFC 4314 §2.1.1). Who sends "c" or "d" back asks for all of
// its members.
func (r Rights) String() string {
	virtual := ""
	if r&virtualCreate != 0 {
		virtual += "c"
	}
	if r&virtualDelete != 0 {
		virtual += "d"
	}
	const last = RightAdminister | RightAnnotate
	return (r &^ last).Letters() + virtual + (r & last).Letters()
}

// ParseRights reads letters in any order; "c" and "d" stand for their members.
// Errors: Invalid for what is no right (RFC 4314 §3.1).
func ParseRights(text string) (r Rights, err error) {
	for _, letter := range text {
		switch i := strings.IndexRune(rightLetters, letter); {
		case i >= 0:
			r |= 1 << i
		case letter == 'c':
			r |= virtualCreate
		case letter == 'd':
			r |= virtualDelete
		default:
			return 0, errs.New("mail.ParseRights", errs.Invalid, "there is no such right; there are "+AllRights.String())
		}
	}
	return r, nil
}

// Allowed returns those of some flags that the rights are for (RFC 4314 §4).
func (r Rights) Allowed(f Flags) Flags {
	if r&RightWrite == 0 {
		f = Flags{System: f.System & (Seen | Deleted)}
	}
	if r&RightSeen == 0 {
		f.System &^= Seen
	}
	if r&RightDeleted == 0 {
		f.System &^= Deleted
	}
	return f
}

// RightsChange is a modification of rights (RFC 4314 §3.1).
type RightsChange struct {
	Rights Rights
	op     byte // '+', '-', or 0: they replace those before
}

// Gives reports whether somebody may have a right after it that was not there before.
func (c RightsChange) Gives() bool { return c.op != '-' && c.Rights != 0 }

// ParseRightsChange reads rights, with "+" or "-" before them to add or remove
// them. Errors: Invalid.
func ParseRightsChange(text string) (c RightsChange, err error) {
	if text != "" && (text[0] == '+' || text[0] == '-') {
		c.op, text = text[0], text[1:]
	}
	c.Rights, err = ParseRights(text)
	return c, err
}

// Apply returns what the change makes of rights.
func (c RightsChange) Apply(r Rights) Rights {
	switch c.op {
	case '+':
		return r | c.Rights
	case '-':
		return r &^ c.Rights
	}
	return c.Rights
}
