package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/internal/applepush"
	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/imapserver"
	"github.com/angarium/angarium/internal/lmtpserver"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/pop3server"
	"github.com/angarium/angarium/internal/search"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/internal/warm"
)

// mailStore is the store on its engine.
type mailStore struct {
	*store.Store
	engine *local.Engine
	texts  *search.Index // nil for files that are only read
	turns  *fair.Queue   // that its long work shares with the connections; likewise
	warm   *warm.Folder  // likewise
	index  string        // a temporary directory, or empty
}

// openStore opens the store of a data directory, which it makes if need be.
func openStore(ctx context.Context, c *config.Config, log *slog.Logger, ev *telemetry.Sink) (*mailStore, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, err
	}
	keep := cachesFor(debug.SetMemoryLimit(-1))
	turns := fair.New(time.Now)
	e, err := local.Open(ctx, vfs.Disk{}, filepath.Join(c.Data, "store"), local.Options{Now: time.Now, IndexCache: keep.index, DenseAfter: orNever(c.Store.CompressAfter), Turn: func() local.Turn { return turns.Background() }, Events: local.Events{
		Stopped: func(err error) {
			ev.Store(telemetry.StoreStopped)
			log.Error("THE STORE HAS STOPPED TAKING CHANGES: writing failed. Reading goes on. Look at the disk, then restart", "error", err)
		},
		Finding: func(f local.Finding) {
			ev.Store(telemetry.StoreFinding)
			log.Error("damage in the store was found and left as it is", "segment", f.Segment, "offset", f.Offset, "what", f.What)
		},
		Opened:  func(r local.Recovery) { log.Info("store_opened", "recovery", r) },
		Compact: func(local.Compacted) { ev.Store(telemetry.StoreCompact) },
	}})
	if errors.Is(err, fs.ErrExist) || errs.Is(err, errs.InUse) {
		return nil, errs.New("angarium.openStore", errs.InUse, "the data directory "+c.Data+" is in use by another angarium process; stop that one, or name another directory with --data")
	}
	if err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", c.Data, err)
	}
	kept := warm.NewFolder(vfs.Disk{}, filepath.Join(c.Data, "warm"), e.TakeNote(), func(err error) {
		log.Warn("what is kept of messages could not be saved; after the next start they are read once more", "error", err)
	})
	s, err := store.Open(ctx, e, store.Options{
		Now:                time.Now,
		SummaryCacheOctets: keep.summaries,
		Warm:               kept,
		FormsVersion:       imapserver.FormsVersion,
		Forms:              imapserver.MakeForms,
		Turns:              turns,
		LoadedMessagesMax:  keep.messages,
		ExpungeRetention:   orNever(c.Store.ExpungeRetention),
		ScrubEvery:         orNever(c.Store.ScrubEvery),
		Finding: func(f store.Finding) {
			ev.Store(telemetry.StoreFinding)
			log.Error("damage in an account was found", "finding", f.String())
		},
	})
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	s.SetDefaultQuota(defaultQuota(c))
	texts := search.NewIndex(ctx, s, vfs.Disk{}, filepath.Join(c.Data, "search"), search.IndexOptions{
		Kept:   int(keep.kept),
		Fields: int(keep.fields),
		Turns:  turns,
		Warm:   kept,
		Failed: func(err error) {
			log.Warn("an account could not be indexed for search; its messages are read instead", "error", err)
		},
	})
	return &mailStore{Store: s, engine: e, texts: texts, turns: turns, warm: kept}, nil
}

// defaultQuota is the limits of accounts that have none of their own.
func defaultQuota(c *config.Config) (q store.Quota) {
	q.Set(store.Storage, int64(c.Quota.Storage))
	q.Set(store.MessageCount, int64(c.Quota.Messages))
	return q
}

// openFiles opens the files of a store for reading only, as they were at a time
// or, when that is zero, at their end. It needs no lock, no index and no file
// but one segment, so that it also opens what does not start, and backups.
func openFiles(ctx context.Context, dir string, until time.Time) (_ *mailStore, findings []string, err error) {
	if _, err := os.Stat(filepath.Join(dir, "log")); err != nil {
		return nil, nil, fmt.Errorf("%s holds no store: %w", dir, err)
	}
	index, err := os.MkdirTemp("", "angarium-index-")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(index)
		}
	}()
	e, err := local.Open(ctx, vfs.Disk{ReadOnly: true}, dir, local.Options{Now: time.Now, ReadOnly: true, Until: until, IndexDir: filepath.Join(index, "index"),
		Events: local.Events{Finding: func(f local.Finding) { findings = append(findings, f.String()) }}})
	if err != nil {
		return nil, findings, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	s, err := store.Open(ctx, e, store.Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		return nil, findings, errors.Join(err, e.Close())
	}
	return &mailStore{Store: s, engine: e, index: index}, findings, nil
}

// orNever returns a time span as the store has it: its zero is the default, and
// a negative one means not at all.
func orNever(d config.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

// spare lets go of memory.
func (m *mailStore) spare() {
	m.Store.Spare()
	m.texts.Spare()
}

func (m *mailStore) Close() error {
	if m.texts != nil {
		m.texts.Close()
	}
	err := m.Store.Close()
	if m.warm != nil { // all that it keeps is saved
		err = errors.Join(err, m.engine.SetNote(m.warm.Note()))
	}
	err = errors.Join(err, m.engine.Close())
	if m.index != "" {
		err = errors.Join(err, os.RemoveAll(m.index))
	}
	return err
}

// backup copies the store into a directory of backups.
func (m *mailStore) backup(ctx context.Context, dir string, progress func(text string)) (adminserver.BackedUp, error) {
	copied, told := int64(0), time.Now()
	turn := m.turns.Background()
	defer turn.End()
	manifest, err := m.engine.Backup(ctx, vfs.Disk{}, dir, func(n int64) error {
		if copied += n; time.Since(told) >= time.Second {
			told = time.Now()
			progress(fmt.Sprintf("%d MiB copied", copied>>20))
		}
		return turn.Pause(ctx)
	})
	if err != nil {
		return adminserver.BackedUp{}, err
	}
	return adminserver.BackedUp{Created: manifest.Created, Octets: manifest.Octets(), Copied: manifest.Copied}, nil
}

// service is what administrators' commands work on.
func (m *mailStore) service(log *slog.Logger, domain func() string) *adminserver.Service {
	return &adminserver.Service{Store: m.Store, Log: log, Domain: domain, Backup: m.backup, Texts: m.texts,
		Stats: func() any { return m.engine.Stats() },
		OpenBackup: func(ctx context.Context, dir string, until time.Time) (*store.Store, func() error, error) {
			b, _, err := openFiles(ctx, dir, until)
			if err != nil {
				return nil, nil, err
			}
			return b.Store, b.Close, nil
		}}
}

// servers are the protocols over one store.
type servers struct {
	net   *netserver.Server
	certs *netserver.Certificates
	dir   *directory.Directory
	imap  *imapserver.Server
	pop3  *pop3server.Server
	lmtp  *lmtpserver.Server
	texts *search.Index
	store *store.Store
	push  *applepush.Sender

	events *telemetry.Sink
}

func newServers(ctx context.Context, m *mailStore, c *config.Config, log *slog.Logger, ev *telemetry.Sink) (*servers, error) {
	certFile, keyFile, err := certificateFiles(c)
	if err != nil {
		return nil, err
	}
	certs, err := netserver.LoadCertificates(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	id, err := pushIdentity(c)
	if err != nil {
		return nil, err
	}
	push := applepush.New(ctx, m.Store, applepush.Options{Log: log, Events: ev})
	if id != nil {
		push.Configure(id)
	}
	measurePush(ev, push)
	dir := directory.New(m.Store, c.DefaultDomain)
	a := auth.New(dir, auth.Options{Log: log, Events: ev, Now: time.Now})
	return &servers{
		net: netserver.New(ctx, netserver.Options{Log: log, Events: ev, Turns: m.turns, Certificates: certs,
			TotalMax: c.Limits.Connections, PerAddressMax: c.Limits.ConnectionsPerAddress, RequireTLS: c.TLS.Required, TraceDir: filepath.Join(c.Data, "trace")}),
		certs: certs, dir: dir, texts: m.texts, store: m.Store, push: push, events: ev,
		imap: imapserver.New(m.Store, a, imapOptions(c, log, ev, m.texts, push)),
		pop3: pop3server.New(m.Store, a, pop3Options(c, log, ev)),
		lmtp: lmtpserver.New(m.Store, dir, lmtpOptions(c, ev)),
	}, nil
}

// certificateFiles returns the configured certificate, or one made here.
func certificateFiles(c *config.Config) (cert, key string, err error) {
	if c.TLS.Certificate != "" {
		return c.TLS.Certificate, c.TLS.Key, nil
	}
	return netserver.SelfSigned(filepath.Join(c.Data, "tls"), []string{c.Hostname, "localhost", "127.0.0.1", "::1"}, time.Now())
}

// pushIdentity reads the push certificate or key, nil when pushes are off.
func pushIdentity(c *config.Config) (*applepush.Identity, error) {
	switch p := &c.ApplePush; {
	case !p.Enabled:
		return nil, nil
	case p.TokenKey != "":
		return applepush.LoadKey(p.TokenKey, p.TokenKeyID, p.TeamID, p.Topic)
	default:
		return applepush.LoadCertificate(p.Certificate, p.Key)
	}
}

func imapOptions(c *config.Config, log *slog.Logger, ev *telemetry.Sink, texts *search.Index, push *applepush.Sender) imapserver.Options {
	var cuts []imapserver.Cut
	for _, cut := range c.IMAP.Cut {
		cuts = append(cuts, imapserver.Cut(cut))
	}
	for _, name := range c.IMAP.Workarounds {
		cuts = append(cuts, imapserver.Workarounds[strings.ToLower(name)])
	}
	var topic func() string
	if c.ApplePush.Enabled {
		topic = push.Topic
	}
	return imapserver.Options{ApplePush: topic, Log: log, Events: ev, Texts: texts, MessageMax: c.Limits.MessageOctets, SessionsMax: c.Limits.SessionsPerAccount, SessionsPerAddressMax: c.Limits.SessionsPerAddress,
		LoginTime: time.Duration(c.Limits.LoginTime), IdleTime: time.Duration(c.Limits.IdleTime), SubmitUsers: c.IMAP.SubmitUsers, LiteralMinus: c.IMAP.LiteralMinus, MessageLimit: c.IMAP.MessageLimit, SaveLimit: c.IMAP.SaveLimit, ShareWithAnyone: c.IMAP.Anyone, Offer: c.IMAP.Offer, Cuts: cuts}
}

func pop3Options(c *config.Config, log *slog.Logger, ev *telemetry.Sink) pop3server.Options {
	return pop3server.Options{Log: log, Events: ev, Shared: c.POP3.Shared, KeepSeen: c.POP3.KeepSeen, FlagOnly: c.POP3.FlagOnly, Anonymous: c.POP3.HideImplementation, LoginTime: time.Duration(c.Limits.LoginTime)}
}

func lmtpOptions(c *config.Config, ev *telemetry.Sink) lmtpserver.Options {
	return lmtpserver.Options{Events: ev, Hostname: c.Hostname, MessageMax: c.Limits.MessageOctets, Bounce: c.Quota.Bounce}
}

// configure swaps in what can change while the server runs.
func (s *servers) configure(c *config.Config, log *slog.Logger) error {
	id, err := pushIdentity(c)
	if err != nil {
		return err
	}
	certFile, keyFile, err := certificateFiles(c)
	if err == nil {
		err = s.certs.Reload(certFile, keyFile)
	}
	if err != nil {
		return err
	}
	s.push.Configure(id)
	s.dir.SetDefaultDomain(c.DefaultDomain)
	s.store.SetDefaultQuota(defaultQuota(c))
	s.net.SetLimits(c.Limits.Connections, c.Limits.ConnectionsPerAddress)
	s.net.SetRequireTLS(c.TLS.Required)
	s.imap.Configure(imapOptions(c, log, s.events, s.texts, s.push))
	s.pop3.Configure(pop3Options(c, log, s.events))
	s.lmtp.Configure(lmtpOptions(c, s.events))
	return nil
}

// options returns what is served on a listener of a protocol, which the
// configuration calls by the name entry.
func (s *servers) options(protocol, entry string) netserver.ListenerOptions {
	o := netserver.ListenerOptions{Protocol: protocol, ImplicitTLS: protocol == "imaps" || protocol == "pop3s"}
	switch protocol {
	case "imap", "imaps":
		o.ALPN, o.Refuse, o.Handler = []string{imapserver.ALPN}, imapserver.Refuse, s.imap.On(entry)
	case "pop3", "pop3s":
		o.ALPN, o.Refuse, o.Handler = []string{pop3server.ALPN}, pop3server.Refuse, s.pop3.Handle
	case "lmtp":
		o.Refuse, o.Handler = lmtpserver.Refuse, s.lmtp.Handle
	}
	return o
}
