package imapserver

import (
	"context"
	"strconv"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

const (
	capApplePush = "XAPPLEPUSHSERVICE"
	// applePushVersion is the newest that is spoken. With 1 only INBOX is told of.
	applePushVersion = 2
	// applePushSubtopic is Mail on iPhones and iPads.
	applePushSubtopic = "com.apple.mobilemail"
)

// applePush is XAPPLEPUSHSERVICE, with which Mail on iPhones and iPads registers
// a device that is to be told of new messages, once a day. Apple has not
// published it: the form is that of Apple's own server.
type applePush struct{ imapwire.ApplePush }

func parseApplePush(s *session, d *imapwire.Decoder) request {
	d.Space()
	p := &applePush{d.ApplePush()}
	return p.run
}

func (p *applePush) run(ctx context.Context, s *session) error {
	topic := s.pushTopic()
	switch {
	case topic == "":
		return &refusal{"UNAVAILABLE", "there are no pushes now; the device was not registered"}
	case p.Subtopic != applePushSubtopic:
		return &refusal{"CANNOT", "pushes go to " + applePushSubtopic + " only; the device was not registered"}
	}
	p.Version = min(p.Version, applePushVersion)
	if p.Version == 1 || p.Mailboxes == nil {
		p.Mailboxes = []string{mail.Inbox}
	}
	var boxes []*store.Mailbox
	err := s.update(ctx, func(tx *store.Tx) error {
		if boxes = p.known(tx.Snapshot()); len(boxes) == 0 {
			tx.DropPush(p.Device, p.AccountID, s.srv.store.Now())
			return nil
		}
		registered := store.Push{Device: p.Device, AccountID: p.AccountID, Version: p.Version, Credential: s.user.Credential()}
		for _, box := range boxes {
			registered.Mailboxes = append(registered.Mailboxes, box.ID)
		}
		return tx.RegisterPush(registered)
	})
	if err != nil {
		return err
	}
	p.tell(s, boxes, topic)
	return nil
}

// known returns the mailboxes that are told of: those named that are there, once
// each, in their order. Nothing is said of the others, so that one that may not
// be seen is like one that is not there.
func (p *applePush) known(v *store.Snapshot) (boxes []*store.Mailbox) {
	seen := map[store.MailboxID]bool{}
	for _, name := range p.Mailboxes {
		box, err := v.Mailbox(name)
		if err != nil || box.NoSelect || seen[box.ID] || len(boxes) == store.PushMailboxesMax {
			continue
		}
		seen[box.ID] = true
		boxes = append(boxes, box)
	}
	return boxes
}

// tell says which mailboxes are told of, as version 2 has it, and what topic the
// pushes have. Mail knows a mailbox in a push by the name in this answer.
func (p *applePush) tell(s *session, boxes []*store.Mailbox, topic string) {
	start := "* " + capApplePush + " "
	if p.Version > 1 {
		for _, box := range boxes {
			name := box.Name
			if !s.has(utf8Names) {
				name = imapwire.EncodeUTF7(name)
			}
			b := append([]byte(start), `"mailbox" `...)
			s.conn.Write(append(imapwire.AppendString(b, name), "\r\n"...))
		}
	}
	s.line(start + `"aps-version" "` + strconv.Itoa(p.Version) + `" "aps-topic" "` + topic + `"`)
}

// pushTopic returns the topic of pushes, "" while there are none.
func (s *session) pushTopic() string {
	if s.opts.ApplePush == nil {
		return ""
	}
	return s.opts.ApplePush()
}
