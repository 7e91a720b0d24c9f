package clients

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestGoIMAP uses the Go client with two connections.
func TestGoIMAP(t *testing.T) {
	s := start(t)
	news := make(chan uint32, 10)
	dial := func(o *imapclient.Options) *imapclient.Client {
		c, err := imapclient.DialInsecure(s.IMAP, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.Login(user, password).Wait(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := dial(nil)
	watcher := dial(&imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				news <- *data.NumMessages
			}
		}}})
	if _, err := watcher.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := watcher.Idle()
	if err != nil {
		t.Fatal(err)
	}
	msg := sample("one")
	app := c.Append("INBOX", int64(len(msg)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen, "$Label"}, Time: time.Unix(1700000000, 0)})
	io.WriteString(app, msg)
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := app.Wait()
	if err != nil || data.UID != 1 {
		t.Fatal(data, err)
	}
	select {
	case n := <-news:
		if n != 1 {
			t.Errorf("%d messages", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("IDLE told nothing")
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil || sel.NumMessages != 1 || !slices.Contains(sel.PermanentFlags, imap.FlagWildcard) || sel.UIDNext != 2 {
		t.Fatal(sel, err)
	}
	msgs, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	if err != nil || len(msgs) != 1 {
		t.Fatal(msgs, err)
	}
	m := msgs[0]
	if m.Envelope.Subject != "one" || m.UID != 1 || m.RFC822Size != int64(len(msg)) || !m.InternalDate.Equal(time.Unix(1700000000, 0)) || !slices.Contains(m.Flags, "$Label") ||
		string(m.BodySection[0].Bytes) != msg || m.BodyStructure.MediaType() != "text/plain" {
		t.Errorf("%+v", m)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "one"}}, NotFlag: []imap.Flag{imap.FlagDeleted}}, nil).Wait()
	if err != nil || !slices.Equal(found.AllUIDs(), []imap.UID{1}) {
		t.Error(found, err)
	}
	copied, err := c.Copy(imap.UIDSetNum(1), "Archive").Wait()
	if err != nil || copied.DestUIDs.String() != "1" {
		t.Error(copied, err)
	}
	moved, err := c.Move(imap.UIDSetNum(1), "Trash").Wait()
	if err != nil || moved.DestUIDs.String() != "1" {
		t.Error(moved, err)
	}
	list, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true, Size: true}, ReturnSpecialUse: true, ReturnSubscribed: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		want := uint32(0)
		if l.Mailbox == "Archive" || l.Mailbox == "Trash" {
			want = 1
		}
		if l.Status == nil || *l.Status.NumMessages != want || !slices.Contains(l.Attrs, imap.MailboxAttrSubscribed) {
			t.Errorf("%+v", l)
		}
	}
	if ns, err := c.Namespace().Wait(); err != nil || len(ns.Personal) != 1 {
		t.Error(ns, err)
	}
	if _, err := c.Select("Archive", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Error(err)
	}
	if gone, err := c.UIDExpunge(imap.UIDSetNum(1)).Collect(); err != nil || !slices.Equal(gone, []uint32{1}) {
		t.Error(gone, err)
	}
	if err := c.Unselect().Wait(); err != nil {
		t.Error(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
}
