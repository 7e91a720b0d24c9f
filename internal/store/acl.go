package store

import (
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// Limits of access control lists (reliability paper 4.4).
const (
	ACLEntriesMax = 200   // of one mailbox
	ShareesMax    = 1_000 // whom one account shares mailboxes with
)

// Identifiers of ACL entries that are no account's name. "-" before one, or
// before a name, makes an entry of rights that are taken away (RFC 4314 §2).
const (
	// Owner is whose account the mailbox is in, whatever its name is now.
	Owner = ""
	// Anyone is all users of the owner's domain: another domain is another
	// organization, which knows of none of them.
	Anyone = "anyone"
)

// Grant is an entry of an ACL.
type Grant struct {
	Identifier string
	Rights     mail.Rights
}

// ACL is the access control list of a mailbox, by identifier. Nil is that of a
// mailbox whose ACL nobody changed: the owner has all rights.
type ACL []Grant

// ownerOnly is what a nil ACL stands for.
var ownerOnly = ACL{{Owner, mail.AllRights}}

// ownerAlways are rights that an owner cannot lose (RFC 4314 §2).
const ownerAlways = mail.RightLookup | mail.RightAdminister

// AlwaysGranted returns the rights that an identifier cannot lose.
func AlwaysGranted(identifier string) mail.Rights {
	if identifier == Owner {
		return ownerAlways
	}
	return 0
}

// ParseIdentifier returns the form in which an identifier of RFC 4314 §2 is
// stored, for a mailbox of an owner. A name without a domain is in the owner's.
// It need not be an account's: who may share mailboxes is not to learn which
// there are. Errors: Invalid; Denied for those that are no account's and not
// known here.
func ParseIdentifier(text, owner string) (string, error) {
	const op = "store.ParseIdentifier"
	text, negative := strings.CutPrefix(text, "-")
	switch lower := strings.ToLower(text); {
	case strings.HasPrefix(lower, "group:"), strings.HasPrefix(lower, "group="), strings.HasPrefix(lower, "$"):
		return "", errs.New(op, errs.Denied, "there are no groups; name each user, or anyone")
	case lower == "anonymous", lower == "administrators", lower == "owner":
		return "", errs.New(op, errs.Denied, "there is no such identifier; name a user, or anyone")
	case lower == Anyone:
		text = Anyone
	default:
		if text != "" && !strings.Contains(text, "@") {
			text += "@" + domainOf(owner)
		}
		var err error
		if text, err = CanonicalAccount(text); err != nil {
			return "", errs.As(op, errs.Invalid, "an identifier is a user's name, or anyone", err)
		}
		if text == owner {
			text = Owner
		}
	}
	if negative {
		return "-" + text, nil
	}
	return text, nil
}

func domainOf(account string) string {
	_, domain, _ := strings.Cut(account, "@")
	return domain
}

// IdentifierText is the opposite of ParseIdentifier.
func IdentifierText(identifier, owner string) string {
	bare, negative := strings.CutPrefix(identifier, "-")
	if bare == Owner {
		bare = owner
	}
	if negative {
		return "-" + bare
	}
	return bare
}

// ACL returns the mailbox's access control list.
func (m *Mailbox) ACL() ACL {
	if m.acl == nil {
		return ownerOnly
	}
	return m.acl
}

// HasACL reports whether anybody changed it.
func (m *Mailbox) HasACL() bool { return m.acl != nil }

// Rights returns what a user may do with the mailbox of an owner: what was
// granted to the user and to anyone, without what was taken from either.
func (m *Mailbox) Rights(owner, user string) mail.Rights {
	if m.acl == nil {
		if user == owner {
			return mail.AllRights
		}
		return 0
	}
	identifier := user
	if user == owner {
		identifier = Owner
	}
	var given, taken mail.Rights
	for _, g := range m.acl {
		bare, negative := strings.CutPrefix(g.Identifier, "-")
		switch {
		case bare != identifier && (bare != Anyone || domainOf(user) != domainOf(owner)):
		case negative:
			taken |= g.Rights
		default:
			given |= g.Rights
		}
	}
	given &^= taken
	if identifier == Owner {
		given |= ownerAlways
	}
	return given
}

// Allow decides whether a user may do what needs rights with a mailbox of an
// owner. Errors: Denied, and NotFound where the user may not even know of the
// mailbox: then it is as if there were none (RFC 4314 §6).
func (m *Mailbox) Allow(owner, user string, need mail.Rights) error {
	have := m.Rights(owner, user)
	switch {
	case need&^have == 0:
		return nil
	case have&mail.RightLookup == 0:
		return ErrNoMailbox
	}
	return errs.New("store.Allow", errs.Denied, "you lack rights for this: it needs "+need.Letters()+", you have "+have.Letters())
}

// SetRights changes the rights of an identifier for a mailbox (RFC 4314 §3.1).
// Errors: NotFound, Limit.
func (tx *Tx) SetRights(mb MailboxID, identifier string, c mail.RightsChange) error {
	was, err := tx.next.MailboxByID(mb)
	if err != nil {
		return err
	}
	acl := slices.Clone(was.ACL())
	at, found := findGrant(acl, identifier)
	if !found {
		acl = slices.Insert(acl, at, Grant{Identifier: identifier})
	}
	if acl[at].Rights = c.Apply(acl[at].Rights); acl[at].Rights == 0 {
		acl = slices.Delete(acl, at, at+1)
	}
	return tx.setACL(mb, acl)
}

func findGrant(acl ACL, identifier string) (int, bool) {
	return slices.BinarySearchFunc(acl, identifier, func(g Grant, identifier string) int { return strings.Compare(g.Identifier, identifier) })
}

// setACL replaces a mailbox's ACL. Errors: NotFound, Limit.
func (tx *Tx) setACL(mb MailboxID, acl ACL) error {
	const op = "store.SetRights"
	if slices.Equal(acl, ownerOnly) {
		acl = nil
	}
	was, err := tx.next.MailboxByID(mb)
	if err != nil {
		return err
	}
	if slices.Equal(was.acl, acl) && (was.acl == nil) == (acl == nil) {
		return nil
	}
	if len(acl) > ACLEntriesMax {
		return errs.New(op, errs.Limit, "the mailbox has too many access rights; nothing was changed. Delete those of other users first")
	}
	box, err := tx.edit(mb)
	if err != nil {
		return err
	}
	box.acl = acl
	if acl == nil {
		tx.batch.Delete(key8(rowACL, uint64(mb)))
	} else {
		tx.batch.Put(key8(rowACL, uint64(mb)), acl.encode())
	}
	tx.shared = true
	if len(tx.next.sharees()) > ShareesMax {
		return errs.New(op, errs.Limit, "the account shares mailboxes with too many users; nothing was changed")
	}
	return nil
}

// inherit gives a new mailbox the ACL of the one above it (RFC 4314 §4, CREATE).
func (tx *Tx) inherit(box *Mailbox) error {
	i, ok := tx.next.findName(mail.ParentMailbox(box.Name))
	if !ok {
		return nil
	}
	return tx.setACL(box.ID, tx.next.boxes[i].acl)
}

// sharees returns whom the account shares mailboxes with: whoever has an entry
// that gives something.
func (v *Snapshot) sharees() map[string]bool {
	all := map[string]bool{}
	for _, box := range v.boxes {
		for _, g := range box.acl {
			if g.Identifier != Owner && g.Identifier[0] != '-' {
				all[g.Identifier] = true
			}
		}
	}
	return all
}

func (a ACL) append(b []byte) []byte {
	b = putUint(b, uint64(len(a)))
	for _, g := range a {
		b = putUint(putString(b, g.Identifier), uint64(g.Rights))
	}
	return b
}

func (a ACL) encode() []byte { return a.append([]byte{rowVersion}) }

// acl reads an ACL with so many entries.
func (r *row) acl() (a ACL) {
	n := r.uint()
	if n > ACLEntriesMax {
		r.bad = true
		return nil
	}
	a = make(ACL, 0, n)
	for ; n > 0 && !r.bad; n-- {
		a = append(a, Grant{r.string(), mail.Rights(r.uint()) & mail.AllRights})
	}
	if !slices.IsSortedFunc(a, func(a, b Grant) int { return strings.Compare(a.Identifier, b.Identifier) }) {
		r.bad = true
	}
	return a
}

func decodeACL(b []byte) (ACL, bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return nil, false
	}
	r := row{b: b[1:]}
	a := r.acl()
	return a, !r.bad
}

// readACLs reads the ACLs of mailboxes. One that cannot be read is an error:
// nobody knows what it forbade.
func readACLs(snap engine.Snapshot, boxes []*Mailbox) error {
	const op = "store.readACLs"
	for p, err := range snap.Scan([]byte{rowACL}, []byte{rowACL + 1}) {
		if err != nil {
			return errs.Wrap(op, err)
		}
		acl, ok := decodeACL(p.Value)
		if !ok || len(p.Key) != 9 {
			return corruptRow(op, "access rights cannot be read")
		}
		id := MailboxID(decodeID(p.Key[1:]))
		if i := slices.IndexFunc(boxes, func(b *Mailbox) bool { return b.ID == id }); i >= 0 {
			boxes[i].acl = acl
		}
	}
	return nil
}
