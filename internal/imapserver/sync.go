package imapserver

import (
	"context"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// errMailboxGone ends a session whose mailbox somebody deleted: it could not
// be told otherwise in IMAP4rev1 (RFC 2180 §3.3).
var errMailboxGone = &byeError{"[UNAVAILABLE] The selected mailbox was deleted"}

// sync brings the view up to date and tells the client what happened. Without
// expunges, messages that went stay in the view.
func (s *session) sync(ctx context.Context, expunges bool) error {
	v := s.view
	echo, silent := v.echo, v.silent
	v.echo, v.silent = nil, silentStore{}
	now, err := s.acct.Snapshot()
	if err != nil {
		return s.syncError(err)
	}
	if now.ModSeq() == v.synced && len(echo) == 0 {
		return nil
	}
	box, list, err := s.acct.Messages(ctx, v.box.ID)
	if err != nil {
		return s.syncError(err)
	}
	changes := store.Diff(v.list, list)
	v.synced = max(list.ModSeq(), now.ModSeq())
	if len(changes.Gone) > 0 {
		if expunges {
			v.numbers(changes.Gone, func(n int) { s.number(n, "EXPUNGE") })
		} else {
			list = v.list.With(list, changes.Gone)
			v.synced = 0 // look again
		}
	}
	old, oldBox := v.list, v.box
	v.list, v.box = list, box
	if len(changes.Added) > 0 {
		v.claim(s.acct, oldBox.UIDNext, box)
		s.number(list.Len(), "EXISTS")
		s.number(v.recentCount(), "RECENT")
	}
	if len(box.Keywords) != len(oldBox.Keywords) {
		s.flagNames(v)
	}
	s.tellFlags(old, changes.Changed, echo, silent)
	return nil
}

func (s *session) syncError(err error) error {
	if errs.Is(err, errs.NotFound) {
		return errMailboxGone
	}
	s.opts.Log.Error("a session cannot see its mailbox any more", "session", s.conn.ID(), "account", s.user.Name, "error", err)
	return &byeError{"[" + kindCodes[errs.KindOf(err)] + "] The mailbox cannot be read now"}
}

// tellFlags sends the flags of changed messages, but not what a silent STORE
// of this session did, and those of echo in any case.
func (s *session) tellFlags(old *store.MessageList, changed, echo mail.UIDSet, silent silentStore) {
	if len(changed) == 0 && len(echo) == 0 {
		return
	}
	v := s.view
	told := changed
	if len(echo) > 0 {
		told = mail.UIDSetOf(append(append([]mail.UIDRange(nil), changed...), echo...)...)
	}
	for i, m := range v.list.Select(told) {
		if silent.modseq != 0 && !echo.Contains(m.UID) {
			if n, ok := old.Find(m.UID); ok && !silent.tells(old.At(n).Flags, m) {
				continue
			}
		}
		b := append(s.conn.AvailableBuffer(), "* "...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, " FETCH ("...)
		if s.byUID {
			b = append(b, "UID "...)
			b = strconv.AppendUint(b, uint64(m.UID), 10)
			b = append(b, ' ')
		}
		b = append(b, "FLAGS "...)
		b = appendFlags(b, m.Flags, v.isRecent(m.UID))
		s.conn.Write(append(b, ")\r\n"...))
	}
}
