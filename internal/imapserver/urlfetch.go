package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseURLFetch is URLFETCH (RFC 4467 §7). Texts that are no URLs are answered
// as others that name nothing.
func parseURLFetch(s *session, d *imapwire.Decoder) request {
	var urls []string
	for more := true; more && d.Err() == nil; more = d.Peek() == ' ' {
		if len(urls) == urlsMax {
			d.Fail("too many URLs in one command")
			break
		}
		d.Space()
		urls = append(urls, d.AString())
	}
	return func(ctx context.Context, s *session) error {
		f := &fetcher{ctx: ctx, s: s}
		defer f.closeScan()
		var failed error
		for _, text := range urls {
			if err := f.url(text); err != nil {
				if fatal(err) {
					return err
				}
				failed = err
			}
		}
		return failed
	}
}

// url answers for one URL, with a response of its own: what cannot be read
// spoils no other.
func (f *fetcher) url(text string) error {
	var m *store.Message
	u, ok := f.s.readURL(text)
	if ok {
		var err error
		if m, err = f.s.redeem(f.ctx, &u); err != nil {
			return err
		}
	}
	f.out = imapwire.AppendString(append(f.out, "* URLFETCH "...), text)
	f.out = append(f.out, ' ')
	if m == nil {
		f.out = append(f.out, "NIL"...)
	} else if err := f.urlOctets(m, &u); err != nil {
		return f.failed(err)
	}
	f.out = append(f.out, "\r\n"...)
	return f.flush()
}

// urlOctets appends what BODY.PEEK[section]<partial> would give, and an empty
// string for a part that is not there (RFC 4467 §8).
func (f *fetcher) urlOctets(m *store.Message, u *imapwire.URL) error {
	f.begin(m)
	defer f.end()
	sum, err := f.summary()
	if errs.Is(err, errs.NotFound) { // expunged this moment
		f.out = append(f.out, "NIL"...)
		return nil
	}
	if err != nil {
		return err
	}
	item := imapwire.FetchItem{Section: u.Section, Partial: u.Partial, Offset: u.Offset, Count: u.Count}
	if item.Count == 0 {
		item.Count = m.Size
	}
	switch _, _, ok := sum.Section(u.Section.Path, u.Section.Kind); {
	case !ok:
		f.out = append(f.out, `""`...)
		return nil
	case u.Section.Fields != nil:
		return f.fields(&item)
	}
	return f.octets(&item)
}
