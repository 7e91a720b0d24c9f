package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/angarium/angarium/internal/errs"
	"golang.org/x/text/unicode/norm"
)

// Separator is the hierarchy delimiter of mailbox names.
const Separator = '/'

// Inbox is the name of the mailbox that every account has (RFC 3501 §5.1).
const Inbox = "INBOX"

// Limits of mailbox names, in octets of UTF-8 (reliability paper 4.4).
const (
	MailboxNameMax  = 1000 // the whole name
	MailboxLevelMax = 255  // one level
	MailboxDepthMax = 50   // levels
)

// CanonicalMailbox returns the one form in which a mailbox name is stored and
// compared: UTF-8 in NFC, INBOX in upper case as first level, no separator at
// the end. Errors: Invalid.
func CanonicalMailbox(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", invalidName("the mailbox name is not valid UTF-8")
	}
	name = strings.TrimSuffix(norm.NFC.String(name), string(Separator))
	if name == "" || len(name) > MailboxNameMax {
		return "", invalidName("the mailbox name is empty or too long")
	}
	levels := strings.Split(name, string(Separator))
	if len(levels) > MailboxDepthMax {
		return "", invalidName("the mailbox name has too many levels")
	}
	for _, l := range levels {
		if err := checkLevel(l); err != nil {
			return "", err
		}
	}
	if strings.EqualFold(levels[0], Inbox) {
		levels[0] = Inbox
	}
	return strings.Join(levels, string(Separator)), nil
}

func checkLevel(l string) error {
	switch {
	case l == "":
		return invalidName("the mailbox name has an empty level")
	case len(l) > MailboxLevelMax:
		return invalidName("a level of the mailbox name is too long")
	case l == "." || l == "..":
		return invalidName("a level of the mailbox name is . or ..")
	case strings.ContainsAny(l, "%*"):
		return invalidName("the mailbox name holds a wildcard")
	case strings.ContainsFunc(l, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
	}):
		return invalidName("the mailbox name holds a control character")
	}
	return nil
}

func invalidName(why string) error {
	return errs.New("mail.CanonicalMailbox", errs.Invalid, why)
}

// ParentMailbox returns the name one level up, or "" at the top.
func ParentMailbox(name string) string {
	i := strings.LastIndexByte(name, Separator)
	return name[:max(i, 0)]
}

// SpecialUse is a set of the uses of RFC 6154 §2.
type SpecialUse uint16

const (
	UseAll SpecialUse = 1 << iota
	UseArchive
	UseDrafts
	UseFlagged
	UseJunk
	UseSent
	UseTrash
	UseImportant // RFC 8457
	UseMemos     // RFC 9979, as the next two
	UseScheduled
	UseSnoozed
)

var specialUseNames = [...]string{
	`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Junk`, `\Sent`, `\Trash`, `\Important`, `\Memos`, `\Scheduled`, `\Snoozed`,
}

// Names returns the attributes of the uses, as LIST shows them.
func (u SpecialUse) Names() []string {
	var names []string
	for i, n := range specialUseNames {
		if u&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// ParseSpecialUse returns the use of an attribute in any case, or 0.
func ParseSpecialUse(name string) SpecialUse {
	for i, n := range specialUseNames {
		if strings.EqualFold(n, name) {
			return 1 << i
		}
	}
	return 0
}
