package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/telemetry"
)

// drainTime is how long sessions may take to end when the server stops.
const drainTime = 30 * time.Second

// adminSocket is the name of the administration socket in the data directory.
const adminSocket = "admin.sock"

func newServe() *cobra.Command {
	var o settings
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve mail until SIGTERM; SIGHUP reads the configuration again",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return serve(ctx, &o)
		},
	}
	o.addFlags(c, true)
	return c
}

// app is a running server.
type app struct {
	settings *settings
	log      *slog.Logger
	level    *slog.LevelVar
	store    *mailStore
	servers  *servers
	events   *telemetry.Sink
	admin    *adminserver.Server

	mu        sync.Mutex // one reload at a time
	config    *config.Config
	listeners listeners
	metrics   *metricsServer
}

func serve(ctx context.Context, o *settings) error {
	limit := limitMemory()
	collectSeldom(limit)
	a, err := start(ctx, o)
	if err != nil {
		return err
	}
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	beat, stopBeat := watchdog()
	defer stopBeat()
	daemon.SdNotify(false, daemon.SdNotifyReady)
	looks := time.NewTicker(memoryEvery)
	defer looks.Stop()
	memory := memory{limit: limit, sample: readFigures, count: a.servers.net.Connections, log: a.log.Warn, press: a.servers.net.SetPressure, spare: a.store.spare}
	for {
		select {
		case now := <-looks.C:
			memory.look(now)
		case <-hangUp:
			a.reload() // which logs what is wrong
		case <-beat:
			daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			daemon.SdNotify(false, daemon.SdNotifyStopping)
			return a.stop()
		}
	}
}

// watchdog ticks twice in the time in which systemd wants a sign of life.
func watchdog() (<-chan time.Time, func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every / 2)
	return t.C, t.Stop
}

// start brings a server up, or leaves nothing behind.
func start(ctx context.Context, o *settings) (_ *app, err error) {
	c, err := o.load()
	if err != nil {
		return nil, err
	}
	a := &app{settings: o, config: c, level: new(slog.LevelVar)}
	a.log = newLog(c, a.level)
	a.events = telemetry.New(a.log)
	a.events.SetSlow(time.Duration(c.Log.SlowCommand))
	if a.store, err = openStore(ctx, c, a.log, a.events); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			if a.servers != nil {
				a.servers.push.Close()
			}
			a.store.Close()
		}
	}()
	// Sessions outlive ctx: stop drains them.
	if a.servers, err = newServers(context.WithoutCancel(ctx), a.store, c, a.log, a.events); err != nil {
		return nil, err
	}
	spreadWork() // the servers have counted the processors
	socket, err := listenUnix(filepath.Join(c.Data, adminSocket), 0o600)
	if err != nil {
		return nil, err
	}
	measureStore(a.events, a.store.engine)
	if a.metrics, err = serveMetrics(c, a.events, nil); err == nil {
		err = a.listen()
	}
	if err != nil {
		a.metrics.close()
		socket.Close()
		return nil, err
	}
	service := a.store.service(a.log, a.domain)
	service.Reload, service.Net = a.reload, a.servers.net
	a.admin = adminserver.Serve(context.WithoutCancel(ctx), socket, service, os.Geteuid(), a.log)
	a.log.Info("serving", "version", version(), "data", c.Data, "listen", c.Listen)
	return a, nil
}

// listen serves on the sockets of the configuration, or on those that systemd
// opened.
func (a *app) listen() error {
	passed, err := activated()
	if err != nil {
		return err
	}
	for protocol, lns := range passed {
		for _, ln := range lns {
			a.servers.net.Serve(ln, a.servers.options(protocol, protocol))
		}
	}
	if len(passed) > 0 && a.settings.file == "" && len(a.settings.listen) == 0 {
		a.config.Listen = nil // systemd's are all
	}
	if a.listeners, err = openListeners(a.config, nil); err != nil {
		return err
	}
	return a.servers.serveAll(a.listeners)
}

func (a *app) domain() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.config.DefaultDomain
}

// reload reads the configuration again and swaps it in whole, or leaves the
// old one in use and says why.
func (a *app) reload() error {
	daemon.SdNotify(false, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
	defer daemon.SdNotify(false, daemon.SdNotifyReady)
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.reloadLocked()
	if err != nil {
		a.log.Error("the configuration was not reloaded; the one before stays in use", "error", err)
		return err
	}
	a.log.Info("the configuration was reloaded", "listen", a.config.Listen)
	return nil
}

func (a *app) reloadLocked() error {
	c, err := a.settings.load()
	if err != nil {
		return err
	}
	if c.Data != a.config.Data || c.Store != a.config.Store || c.Log.Format != a.config.Log.Format {
		return errors.New("data, log.format and the table store cannot change while the server runs: restart it")
	}
	opened, err := openListeners(c, a.listeners)
	if err != nil {
		return err
	}
	metrics, err := serveMetrics(c, a.events, a.metrics)
	if err == nil {
		err = a.servers.configure(c, a.log)
	}
	if err != nil {
		if metrics != a.metrics {
			metrics.close()
		}
		opened.close()
		return err
	}
	if metrics != a.metrics {
		a.metrics.close()
		a.metrics = metrics
	}
	setLevel(c, a.level)
	a.events.SetSlow(time.Duration(c.Log.SlowCommand))
	kept := listeners{}
	for _, entry := range c.Listen {
		kept[entry] = a.listeners[entry]
		if kept[entry] == nil {
			kept[entry] = opened[entry]
		}
	}
	for entry, ln := range a.listeners {
		if kept[entry] == nil {
			a.servers.net.CloseListener(ln)
		}
	}
	a.config, a.listeners = c, kept
	return a.servers.serveAll(opened)
}

// stop drains the sessions and closes the store.
func (a *app) stop() error {
	a.log.Info("stopping: running commands end, then sessions are told")
	a.admin.Close()
	defer a.metrics.close()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	a.servers.net.Shutdown(ctx)
	a.servers.push.Close()
	err := a.store.Close()
	if n := a.servers.net.Panics(); n > 0 {
		a.log.Error("sessions ended by a panic", "count", n)
	}
	a.log.Info("stopped")
	return err
}
