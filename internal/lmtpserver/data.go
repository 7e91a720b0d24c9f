package lmtpserver

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/angarium/angarium/internal/delivery"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/smtpwire"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
)

// incoming takes one message's octets. After an error it goes on taking them,
// since the client goes on sending, and throws them away.
type incoming struct {
	stage  *store.Stage
	filter returnPathFilter
	size   int64 // octets sent by the client
	max    int64
	err    error
}

func (s *session) begin(ctx context.Context) *incoming {
	in := &incoming{max: s.opts.MessageMax}
	if in.stage, in.err = s.srv.store.Stage(ctx); in.err == nil {
		_, in.err = in.stage.Write(s.trace())
	}
	return in
}

func (in *incoming) write(p []byte) {
	in.size += int64(len(p))
	if in.size > in.max && in.err == nil {
		in.err = errs.New("lmtpserver.data", errs.TooBig, "the message is too big")
	}
	if in.err == nil {
		_, in.err = in.stage.Write(in.filter.next(p))
	}
}

func (in *incoming) seal() (*store.Staged, error) {
	if in.err == nil {
		_, in.err = in.stage.Write(in.filter.rest())
	}
	if in.err != nil {
		return nil, in.err
	}
	return in.stage.Seal()
}

func (in *incoming) discard() {
	if in.stage != nil {
		in.stage.Discard()
	}
}

// trace returns the fields that delivery puts before a message (RFC 5321
// §4.4). With several recipients the message is stored once for all of them,
// so it names none.
func (s *session) trace() []byte {
	var b strings.Builder
	b.WriteString("Return-Path: <" + s.from + ">\r\n")
	only := ""
	if len(s.rcpts) == 1 {
		b.WriteString("Delivered-To: " + s.rcpts[0].address + "\r\n")
		only = " for <" + s.rcpts[0].address + ">"
	}
	with := "LMTP"
	if s.conn.IsTLS() {
		with = "LMTPS" // RFC 3848
	}
	from := ""
	if r := s.conn.Remote(); r.IsValid() {
		from = " ([" + r.Addr().String() + "])"
	}
	b.WriteString("Received: from " + traceWord(s.client) + from + "\r\n\tby " + s.opts.Hostname + " (Angarium) with " + with + "\r\n\tid " + s.conn.ID() + only +
		";\r\n\t" + time.Now().Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\r\n")
	return []byte(b.String())
}

// traceWord keeps what a client called itself from being more than one word.
func traceWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || r == '(' || r == ')' || r == ';' {
			return '?'
		}
		return r
	}, s)
}

var dataBuffers = sync.Pool{New: func() any { return new([]byte) }}

// data is DATA.
func (s *session) data(ctx context.Context, _ string) error {
	switch {
	case s.stage != nil:
		return s.wrong("503 5.5.1 BDAT has begun") // RFC 3030 §2
	case len(s.rcpts) == 0:
		return s.wrong("503 5.5.1 No recipients") // RFC 2033 §4.2
	}
	s.reply("354 End with <CRLF>.<CRLF>")
	if err := s.conn.Flush(); err != nil {
		return err
	}
	s.stage = s.begin(ctx)
	defer s.reset()
	var dots smtpwire.Unstuffer
	buffer := dataBuffers.Get().(*[]byte)
	buf := *buffer
	defer func() {
		*buffer = buf
		dataBuffers.Put(buffer)
	}()
	begun := time.Now()
	for done := false; !done; {
		b, err := s.readMessage(begun, s.stage.size)
		if err != nil {
			return err
		}
		var n int
		buf, n, done = dots.Feed(buf[:0], b)
		s.conn.Discard(n)
		s.stage.write(buf)
	}
	s.deliver(ctx)
	return nil
}

// bdat is BDAT (RFC 3030 §2).
func (s *session) bdat(ctx context.Context, arg string) error {
	size, last, err := smtpwire.ParseBDAT(arg)
	if err != nil {
		s.wrong("501 5.5.4 Syntax: BDAT size [LAST]")
		return errEnd // what follows is not known to be text or commands
	}
	refused := !s.mail || len(s.rcpts) == 0
	if !refused && s.stage == nil {
		s.stage = s.begin(ctx)
	}
	begun := time.Now()
	for left := size; left > 0; {
		b, err := s.readMessage(begun, size-left)
		if err != nil {
			return err
		}
		b = b[:min(int64(len(b)), left)]
		if !refused {
			s.stage.write(b)
		}
		left -= int64(len(b))
		s.conn.Discard(len(b))
	}
	switch {
	case refused:
		return s.wrong("503 5.5.1 No recipients")
	case last:
		defer s.reset()
		s.deliver(ctx)
	case s.stage.err != nil:
		s.reply(s.opts.code(s.stage.err) + " " + errs.PublicText(s.stage.err))
		s.reset()
	default:
		s.reply("250 2.0.0 OK")
	}
	return nil
}

// readMessage returns what comes of a message that began at a time and has so
// many octets. Who sends an octet now and then does not stay for that (RFC 5321
// §4.5.3.2.5 asks for 3 minutes for each piece).
func (s *session) readMessage(begun time.Time, octets int64) ([]byte, error) {
	s.conn.SetReadDeadline(begun.Add(s.opts.IdleTime + time.Duration(octets)*(time.Second/rateMin)))
	b, err := s.conn.ReadSlice()
	s.conn.SetReadTimeout(s.opts.IdleTime)
	return b, err
}

// deliver commits the message for each recipient, and replies for each in the
// order in which they were named (RFC 2033 §4.2).
func (s *session) deliver(ctx context.Context) {
	staged, err := s.stage.seal()
	results := make([]telemetry.Recipient, len(s.rcpts))
	var panicked errs.Panic
	switch {
	case err != nil:
		for i := range results {
			results[i].Err = err
		}
	case len(s.rcpts) == 1:
		s.deliverTo(ctx, &s.rcpts[0], staged, &results[0])
	default:
		var wg sync.WaitGroup
		slots := make(chan struct{}, deliveriesMax)
		for i := range s.rcpts {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				defer panicked.Catch()
				results[i].Err = errs.New("lmtpserver.deliver", errs.Internal, "") // unless it comes to its end
				s.deliverTo(ctx, &s.rcpts[i], staged, &results[i])
			})
		}
		wg.Wait()
	}
	for i := range results {
		s.replyFor(&s.rcpts[i], &results[i])
	}
	if panicked.Caught() { // the MTA knows now which deliveries were done
		s.conn.Flush()
		panicked.Raise()
	}
}

func (s *session) deliverTo(ctx context.Context, r *recipient, m *store.Staged, done *telemetry.Recipient) {
	begun := time.Now()
	done.Err = delivery.Deliver(ctx, s.srv.store, r.Account, r.Detail, m)
	done.Took = time.Since(begun)
}

func (s *session) replyFor(r *recipient, done *telemetry.Recipient) {
	done.Session, done.Account, done.In = s.conn.ID(), r.Name, s.stage.size
	s.opts.Events.Recipient(done)
	if err := done.Err; err != nil {
		s.reply(s.opts.code(err) + " <" + printable(r.address) + "> " + errs.PublicText(err))
		return
	}
	s.bad = 0
	s.reply("250 2.0.0 <" + printable(r.address) + "> Delivered")
}

// returnPathFilter takes Return-Path fields off the head of a message: delivery
// puts its own there, and there shall be one (RFC 5321 §4.4).
type returnPathFilter struct {
	head    []byte // begin of a line that is not known yet
	passing bool   // past the head of the message
	field   bool   // inside a Return-Path field
}

var returnPath = []byte("return-path:")

// headLineMax is the longest line that is looked at.
const headLineMax = 4096

// next returns what of the message may be stored.
func (f *returnPathFilter) next(p []byte) []byte {
	if f.passing {
		return p
	}
	if len(f.head) == 0 && !f.field && len(p) >= len(returnPath) && !bytes.EqualFold(p[:len(returnPath)], returnPath) {
		f.passing = true // the common case, without a copy
		return p
	}
	f.head = append(f.head, p...)
	for {
		if f.field && len(f.head) > 0 && f.head[0] != ' ' && f.head[0] != '\t' {
			f.field = false
		}
		if len(f.head) == 0 {
			return nil
		}
		n := min(len(f.head), len(returnPath))
		if !f.field && !bytes.EqualFold(f.head[:n], returnPath[:n]) {
			return f.rest()
		}
		end := bytes.IndexByte(f.head, '\n')
		if end < 0 {
			if len(f.head) > headLineMax {
				return f.rest()
			}
			return nil
		}
		f.field = true
		f.head = f.head[end+1:]
	}
}

// rest returns what was held back, and lets everything else pass.
func (f *returnPathFilter) rest() []byte {
	f.passing = true
	b := f.head
	f.head = nil
	return b
}
