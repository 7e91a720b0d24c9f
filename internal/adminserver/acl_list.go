package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

// ACLList is the argument of "acl list": the access control lists of an account's
// mailboxes that somebody changed, or of one mailbox; or with With, instead, what
// others share with a user.
type ACLList struct {
	Name    string `json:"name,omitempty"`
	Mailbox string `json:"mailbox,omitempty"`
	With    string `json:"with,omitempty"`
}

// MailboxACL is the access control list of a mailbox, or what one user has of it.
type MailboxACL struct {
	Owner   string  `json:"owner"`
	Mailbox string  `json:"mailbox"`
	Grants  []Grant `json:"grants"`
}

// Grant is the rights of an identifier (RFC 4314 §2).
type Grant struct {
	Identifier string `json:"identifier"`
	Rights     string `json:"rights"` // letters
}

func aclList(ctx context.Context, s *Service, a ACLList) ([]MailboxACL, error) {
	if a.With != "" {
		return s.sharedWith(ctx, a.With)
	}
	name, err := s.qualify(a.Name)
	if err != nil {
		return nil, err
	}
	_, v, err := s.snapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	if a.Mailbox != "" {
		box, err := v.Mailbox(a.Mailbox)
		if err != nil {
			return nil, err
		}
		return []MailboxACL{aclOf(name, box)}, nil
	}
	all := []MailboxACL{}
	for box := range v.Mailboxes() {
		if box.HasACL() {
			all = append(all, aclOf(name, box))
		}
	}
	return all, nil
}

// sharersMax is of how many accounts the mailboxes are looked at.
const sharersMax = 100_000

// sharedWith returns what others share with a user.
func (s *Service) sharedWith(ctx context.Context, user string) ([]MailboxACL, error) {
	user, err := s.qualify(user)
	if err != nil {
		return nil, err
	}
	all := []MailboxACL{}
	for _, owner := range s.Store.Sharers(user, sharersMax) {
		_, v, err := s.snapshot(ctx, owner.Name)
		if errs.Is(err, errs.NotFound) { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		for box := range v.Mailboxes() {
			if rights := box.Rights(owner.Name, user); rights != 0 {
				all = append(all, MailboxACL{owner.Name, box.Name, []Grant{{user, rights.Letters()}}})
			}
		}
	}
	return all, nil
}

func aclOf(owner string, box *store.Mailbox) MailboxACL {
	m := MailboxACL{Owner: owner, Mailbox: box.Name, Grants: []Grant{}}
	for _, g := range box.ACL() {
		m.Grants = append(m.Grants, Grant{store.IdentifierText(g.Identifier, owner), g.Rights.Letters()})
	}
	return m
}
