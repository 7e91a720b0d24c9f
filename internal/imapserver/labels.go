package imapserver

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// Labels are how X-GM-EXT-1, as Google documents it, shows that a message is in
// several mailboxes. The labels of a message are the other mailboxes that hold
// a copy of it: a message with the same EMAILID. \Starred and \Important are
// flags of the message itself.

// flagLabel is a label that is a flag.
type flagLabel struct {
	name  string
	flags mail.Flags
}

var labelFlags = []flagLabel{
	{`\Important`, mail.NewFlags(0, "$Important")}, // RFC 8457
	{`\Starred`, mail.NewFlags(mail.Flagged)},
}

func isFlagLabel(name string) bool {
	return slices.ContainsFunc(labelFlags, func(l flagLabel) bool { return strings.EqualFold(l.name, name) })
}

// labelUses holds those of mailboxes that are for something.
var labelUses = []struct {
	name string
	use  mail.SpecialUse
}{
	{`\Draft`, mail.UseDrafts}, {`\Sent`, mail.UseSent}, {`\Spam`, mail.UseJunk}, {`\Trash`, mail.UseTrash},
}

// labelOf returns the label of a mailbox: its name, unless it is INBOX or the
// first with a use that has a label.
func labelOf(v *store.Snapshot, box *store.Mailbox) string {
	if box.Name == mail.Inbox {
		return `\Inbox`
	}
	for _, l := range labelUses {
		if box.SpecialUse&l.use == 0 {
			continue
		}
		if first, err := labelBox(v, l.name); err == nil && first.ID == box.ID {
			return l.name
		}
	}
	return box.Name
}

// labelBox finds the mailbox of a label. Errors: NotFound.
func labelBox(v *store.Snapshot, label string) (*store.Mailbox, error) {
	if strings.EqualFold(label, `\Inbox`) {
		return v.Mailbox(mail.Inbox)
	}
	for _, l := range labelUses {
		if !strings.EqualFold(l.name, label) {
			continue
		}
		for box := range v.Mailboxes() {
			if box.SpecialUse&l.use != 0 {
				return box, nil
			}
		}
	}
	return v.Mailbox(label)
}

// labels are those of messages, by message id.
type labels map[store.MessageID][]string

// labelsOf finds the labels of messages of the view. It looks through all other
// mailboxes; the memory is that of the messages asked for.
func (s *session) labelsOf(ctx context.Context, uids mail.UIDSet) (labels, error) {
	of := make(labels, uids.Len())
	if !s.view.mine() {
		return of, nil // they are names of mailboxes, which the user may not know
	}
	for _, m := range s.view.list.Select(uids) {
		of[m.ID] = nil
	}
	v, err := s.own.acct.Snapshot()
	if err != nil {
		return nil, err
	}
	for box := range v.Mailboxes() {
		if box.ID == s.view.box.ID || box.Messages == 0 {
			continue
		}
		list, err := v.Messages(ctx, box.ID)
		if errs.Is(err, errs.NotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		label := labelOf(v, box)
		for _, m := range list.Range(0, list.Len()) {
			if have, ok := of[m.ID]; ok && !slices.Contains(have, label) {
				of[m.ID] = append(have, label)
			}
		}
	}
	return of, nil
}

func fetchGmailMessageID(f *fetcher, _ *imapwire.FetchItem) error {
	f.out = strconv.AppendUint(append(f.out, "X-GM-MSGID "...), f.s.view.ids.MessageNumber(f.m.ID), 10)
	return nil
}

func fetchGmailThreadID(f *fetcher, _ *imapwire.FetchItem) error {
	sum, err := f.summary()
	if err == nil {
		f.out = strconv.AppendUint(append(f.out, "X-GM-THRID "...), f.s.view.ids.ThreadNumber(store.ThreadOf(f.m, sum)), 10)
	}
	return err
}

// fetchLabels appends a message's labels as strings: a backslash is no part of
// an atom.
func fetchLabels(f *fetcher, _ *imapwire.FetchItem) error {
	if f.labels == nil {
		var err error
		if f.labels, err = f.s.labelsOf(f.ctx, f.uids); err != nil {
			return err
		}
	}
	names := slices.Clone(f.labels[f.m.ID])
	for _, l := range labelFlags {
		if l.flags.Minus(f.m.Flags).Equal(mail.Flags{}) {
			names = append(names, l.name)
		}
	}
	slices.Sort(names)
	f.out = append(f.out, "X-GM-LABELS ("...)
	for i, name := range names {
		if i > 0 {
			f.out = append(f.out, ' ')
		}
		f.out = f.s.appendMailbox(f.out, name)
	}
	f.out = append(f.out, ')')
	return nil
}

// expandLabel finds the messages that a search for a label means: those with
// the label, and in its own mailbox all.
func (s *session) expandLabel(ctx context.Context, key *imapwire.SearchKey) error {
	for _, l := range labelFlags {
		if strings.EqualFold(l.name, key.Text) {
			*key = flagKey(l.flags)
			return nil
		}
	}
	v, err := s.own.acct.Snapshot()
	if err != nil {
		return err
	}
	box, err := labelBox(v, key.Text)
	if errs.Is(err, errs.NotFound) {
		box, err = hyphenatedBox(v, key.Text)
	}
	if box == nil || err != nil {
		return err
	}
	list, err := v.Messages(ctx, box.ID)
	if err != nil {
		return err
	}
	for _, m := range list.Range(0, list.Len()) {
		key.IDs = append(key.IDs, uint64(m.ID))
	}
	slices.Sort(key.IDs)
	return nil
}

// flagKey searches for what is a flag or a keyword.
func flagKey(f mail.Flags) imapwire.SearchKey {
	if f.System != 0 {
		return imapwire.SearchKey{Op: imapwire.SearchFlag, Flag: f.System}
	}
	return imapwire.SearchKey{Op: imapwire.SearchKeyword, Text: f.Keywords()[0]}
}

// hyphenatedBox finds a mailbox as people write labels in searches: in any case,
// with hyphens for spaces and slashes. It returns nil when there is none.
func hyphenatedBox(v *store.Snapshot, text string) (*store.Mailbox, error) {
	hyphens := strings.NewReplacer(" ", "-", "/", "-")
	text = hyphens.Replace(text)
	for box := range v.Mailboxes() {
		if strings.EqualFold(hyphens.Replace(box.Name), text) {
			return box, nil
		}
	}
	return nil, nil
}
