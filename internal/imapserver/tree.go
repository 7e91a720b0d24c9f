package imapserver

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// otherUsers is the Other Users' Namespace (RFC 2342 §2): below it the name of
// an account, and below that its mailboxes with the names that they have there.
const otherUsers = "Other Users/"

// tree is the mailboxes of one account as the user of the session sees them.
type tree struct {
	acct   *store.Account
	owner  string // the account's name
	user   string
	prefix string // before the names of mailboxes; "" for the user's own
	ids    store.ObjectIDs
}

// sight is a tree at one point in time.
type sight struct {
	*tree
	*store.Snapshot
}

// mine reports whether it is the user's own.
func (t *tree) mine() bool { return t.prefix == "" }

// name returns how the user names a mailbox.
func (t *tree) name(box *store.Mailbox) string { return t.prefix + box.Name }

// rights returns what the user may do with a mailbox.
func (t *tree) rights(box *store.Mailbox) mail.Rights { return box.Rights(t.owner, t.user) }

// has reports whether these are among them.
func (t *tree) has(box *store.Mailbox, rights mail.Rights) bool { return rights&^t.rights(box) == 0 }

// sees reports whether the user may know of a mailbox.
func (t *tree) sees(box *store.Mailbox) bool { return t.has(box, mail.RightLookup) }

// copier is the user who copies messages into a mailbox.
func (t *tree) copier(to *store.Mailbox) store.Copier {
	return store.Copier{Rights: t.rights(to), Owner: t.mine()}
}

func (t *tree) look() (sight, error) {
	v, err := t.acct.Snapshot()
	return sight{t, v}, err
}

// in returns the tree as a running Update sees it.
func (t *tree) in(tx *store.Tx) sight { return sight{t, tx.Snapshot()} }

// box returns the mailbox of a name in the tree, if the user has rights for it.
// Errors: NotFound, Denied.
func (x sight) box(name string, need mail.Rights) (*store.Mailbox, error) {
	box, err := x.Mailbox(name)
	return x.allowed(box, err, need)
}

// boxByID is box for a mailbox that was found before: it, and the rights, may be
// gone.
func (x sight) boxByID(id store.MailboxID, need mail.Rights) (*store.Mailbox, error) {
	box, err := x.MailboxByID(id)
	return x.allowed(box, err, need)
}

func (x sight) allowed(box *store.Mailbox, err error, need mail.Rights) (*store.Mailbox, error) {
	if err == nil {
		err = box.Allow(x.owner, x.user, need)
	}
	if err != nil {
		return nil, err
	}
	return box, nil
}

// hasChildren reports whether the user sees mailboxes below one.
func (x sight) hasChildren(box *store.Mailbox) bool {
	if x.mine() {
		return x.HasChildren(box.Name)
	}
	below := box.Name + string(mail.Separator)
	for b := range x.Mailboxes() {
		if strings.HasPrefix(b.Name, below) && x.sees(b) {
			return true
		}
	}
	return false
}

func (s *session) treeOf(acct *store.Account, owner, prefix string) *tree {
	return &tree{acct, owner, s.user.Name, prefix, store.ObjectIDs{Account: acct.ID(), User: s.user.Account}}
}

// splitName takes a name of the Other Users' Namespace apart. An account's name
// ends behind its domain, in which there is no separator.
func splitName(name string) (owner, rest string, ok bool) {
	name, ok = strings.CutPrefix(name, otherUsers)
	local, domain, _ := strings.Cut(name, "@")
	domain, rest, _ = strings.Cut(domain, string(mail.Separator))
	return local + "@" + domain, rest, ok
}

// canonicalName returns the one form of a mailbox's name as users see it.
// Errors: Invalid.
func canonicalName(name string) (string, error) {
	owner, rest, ok := splitName(name)
	if !ok {
		return mail.CanonicalMailbox(name)
	}
	owner, err := store.CanonicalAccount(owner)
	if err == nil {
		rest, err = mail.CanonicalMailbox(rest)
	}
	return otherUsers + owner + string(mail.Separator) + rest, err
}

// locate returns the tree of a mailbox's name, and the name there. The tree of an
// account that shares nothing with the user is not there, as that of an account
// which does not exist. Mailboxes that the user has below the namespace, from
// before it was one, stay the user's. Errors: NotFound.
func (s *session) locate(ctx context.Context, name string) (x sight, rest string, err error) {
	own, err := s.own.look()
	owner, rest, ok := splitName(name)
	if err != nil || !ok {
		return own, name, err
	}
	if _, err := own.Mailbox(name); err == nil {
		return own, name, nil
	}
	if owner, err = store.CanonicalAccount(owner); err != nil {
		return x, "", store.ErrNoMailbox
	}
	id, ok := s.srv.store.MayShare(owner, s.user.Name)
	if !ok {
		return x, "", store.ErrNoMailbox
	}
	x, err = s.sharedTree(ctx, store.AccountInfo{ID: id, Name: owner})
	return x, rest, err
}

// sharedTree returns that of another account. Errors: NotFound.
func (s *session) sharedTree(ctx context.Context, a store.AccountInfo) (x sight, err error) {
	acct, err := s.srv.store.Account(ctx, a.ID)
	if err != nil {
		return x, err
	}
	return s.treeOf(acct, a.Name, otherUsers+a.Name+string(mail.Separator)).look()
}

// others returns the trees of others who may share mailboxes with the user. One
// that cannot be read hides no other.
func (s *session) others(ctx context.Context) (all []sight) {
	for _, a := range s.srv.store.Sharers(s.user.Name, sharersMax) {
		x, err := s.sharedTree(ctx, a)
		if err == nil {
			all = append(all, x)
		} else if !errs.Is(err, errs.NotFound) {
			s.opts.Log.Error("mailboxes of another user cannot be shown", "session", s.conn.ID(), "account", s.user.Name, "owner", a.Name, "error", err)
		}
	}
	return all
}

// mailbox returns the mailbox that the running command names, if the user has the
// rights for it that the command's row asks for. Errors: NotFound, Denied.
func (s *session) mailbox(ctx context.Context, name string) (x sight, box *store.Mailbox, err error) {
	x, rest, err := s.locate(ctx, name)
	if err == nil {
		box, err = x.box(rest, s.row.named)
	}
	return x, box, err
}
