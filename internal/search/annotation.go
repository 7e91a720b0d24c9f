package search

import (
	"context"
	"sync"
	"unicode/utf8"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// annotated is which messages of the list have annotations. It is found out when
// it is needed first, so that a search costs what there are of them.
type annotated struct {
	once sync.Once
	acct *store.Account
	uids mail.UIDSet
	err  error
}

func (a *annotated) find(ctx context.Context, q *Query) error {
	a.once.Do(func() {
		if a.acct, a.err = q.Store.Account(ctx, q.Account); a.err == nil && q.Only == nil {
			a.uids, a.err = a.acct.Annotated(ctx, q.List.Mailbox(), mail.UIDSet{{First: 1, Last: mail.UIDMax}})
		}
	})
	return a.err
}

// annotations returns those of a message. Damaged ones match nothing. With Only
// few messages are looked at, and each is asked for its own.
func (c *cursor) annotations(m *store.Message) ([]store.Annotation, error) {
	a := &c.q.annotated
	if err := a.find(c.ctx, c.q); err != nil {
		return nil, err
	}
	if c.q.Only == nil && !a.uids.Contains(m.UID) {
		return nil, nil
	}
	if c.annotationsOf != m.UID {
		all, err := a.acct.Annotations(c.q.List.Mailbox(), m.UID)
		if passOver(err) != nil {
			return nil, err
		}
		if c.q.User != c.q.Account {
			for i := range all {
				all[i].Private = nil
			}
		}
		c.annotationsOf, c.found = m.UID, all
	}
	return c.found, nil
}

// compileAnnotation looks for a text in the values of entries (RFC 5257 §4.8).
func (q *Query) compileAnnotation(k *imapwire.SearchKey) (test, error) {
	needle, err := q.needle(k)
	pattern := imapwire.NewEntryPattern(k.Field)
	in := func(c *cursor, wanted bool, value []byte) bool {
		return wanted && value != nil && c.contains(string(value), needle)
	}
	return test{cost: costSummary, match: func(c *cursor, _ int, m *store.Message) (bool, error) {
		if err := c.ctx.Err(); err != nil { // a search may have thousands of these keys
			return false, err
		}
		all, err := c.annotations(m)
		for _, a := range all {
			if a.Exists() && pattern.Match(a.Entry) && (in(c, k.Private, a.Private) || in(c, k.Shared, a.Shared)) {
				return true, nil
			}
		}
		return false, err
	}}, err
}

// annotation returns what a message is sorted by (RFC 5257 §4.9): the value in the
// charset of SORT, unless it is in UTF-8, as the registered entries are (§6.2).
func (c *cursor) annotation(m *store.Message, k imapwire.SortKey) (string, error) {
	all, err := c.annotations(m)
	for _, a := range all {
		if a.Entry != k.Entry {
			continue
		}
		value := a.Shared
		if k.Private {
			value = a.Private
		}
		if !utf8.Valid(value) {
			return collation(message.ToUTF8(string(value), c.q.Charset)), nil
		}
		return collation(string(value)), nil
	}
	return "", err
}
