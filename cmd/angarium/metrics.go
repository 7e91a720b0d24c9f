package main

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/angarium/angarium/internal/applepush"
	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/telemetry"
)

// metricsTime is how long one who asks for the figures may take.
const metricsTime = 30 * time.Second

// metricsServer shows the figures at one address. A nil one shows nothing.
type metricsServer struct {
	listen string
	http   *http.Server
	served chan struct{} // closed at the end
}

// serveMetrics shows the figures where a configuration says: have goes on if
// that is its address already, and is left alone if not.
func serveMetrics(c *config.Config, ev *telemetry.Sink, have *metricsServer) (*metricsServer, error) {
	if have != nil && have.listen == c.Metrics.Listen {
		return have, nil
	}
	network, address, err := c.MetricsAddress()
	if err != nil || address == "" {
		return nil, err
	}
	ln, err := listenMetrics(c, network, address)
	if err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(ev.Figures(), promhttp.HandlerOpts{EnableOpenMetrics: true}))
	m := &metricsServer{c.Metrics.Listen, &http.Server{Handler: mux, ReadTimeout: metricsTime, WriteTimeout: metricsTime}, make(chan struct{})}
	go func() {
		defer close(m.served)
		m.http.Serve(ln)
	}()
	return m, nil
}

func listenMetrics(c *config.Config, network, address string) (net.Listener, error) {
	if network != "unix" {
		return net.Listen(network, address)
	}
	mode, err := c.Mode()
	if err != nil {
		return nil, err
	}
	return listenUnix(address, fs.FileMode(mode))
}

func (m *metricsServer) close() {
	if m != nil {
		m.http.Close()
		<-m.served
	}
}

// measureStore adds the figures that the engine keeps, and those of the
// process.
func measureStore(ev *telemetry.Sink, e *local.Engine) {
	counter := func(name, help string, read func(s local.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(read(e.Stats())) })
	}
	ev.Register(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		counter("angarium_commits_total", "Changes that were made durable.", func(s local.Stats) int64 { return s.Commits }),
		counter("angarium_syncs_total", "Syncs of the log; one makes several commits durable.", func(s local.Stats) int64 { return s.Syncs }),
		counter("angarium_blobs_total", "Messages that were written.", func(s local.Stats) int64 { return s.Blobs }),
	)
}

// measurePush adds how many devices wait for a push.
func measurePush(ev *telemetry.Sink, s *applepush.Sender) {
	ev.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "angarium_apple_pushes_waiting", Help: "Devices of Apple's that wait for a push, or rest after one."},
		func() float64 { return float64(s.Waiting()) }))
}
