package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// perSecond bounds the requests, of all peers together, on average and at once. A display refreshes ten times a second; fifty
// answers a second take a hundredth of a processor, both ends together (BenchmarkStatus).
const perSecond = 50

// Serve answers on l, a unix socket's, until ctx is done, and then returns nil. It closes l. Peers that are neither root nor the
// process's own user are refused.
func Serve(ctx context.Context, l net.Listener, s Source) error {
	return serve(ctx, l, s, rate.NewLimiter(perSecond, perSecond))
}

func serve(ctx context.Context, l net.Listener, s Source, limit *rate.Limiter) error {
	log := s.Log
	if log == nil {
		log = zap.NewNop()
	}
	complaints, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	server := &http.Server{
		Handler:                      bound(handler(s), limit),
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               1, // and the 4 KiB that net/http adds
		ErrorLog:                     complaints,
		Protocols:                    new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.SetKeepAlivesEnabled(false)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(newGuard(l, log)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// bound answers what may not be asked, or not so often, and passes the rest on.
func bound(next http.Handler, limit *rate.Limiter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !limit.Allow():
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("more than %d requests a second: ask again later", perSecond), http.StatusTooManyRequests)
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "the control socket only shows: want GET", http.StatusMethodNotAllowed)
		case r.ContentLength != 0:
			http.Error(w, "want a request without a body", http.StatusRequestEntityTooLarge)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func handler(s Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StatusPath, func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Status()) })
	mux.HandleFunc("GET "+StationsPath, func(w http.ResponseWriter, _ *http.Request) {
		if s.Stations == nil {
			http.Error(w, "no forwarding database: in IP mode the switch does not learn", http.StatusNotFound)
			return
		}
		reply(w, s.Stations())
	})
	return mux
}

// reply writes v, which is a snapshot, after all of it has become JSON.
func reply(w http.ResponseWriter, v any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = w.Write(body.Bytes()) // a reader that went away is its own loss
}
