package client_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"brainer/broker/client"
	"brainer/broker/client/clienttest"
	"brainer/internal/link/zmq"
)

func Example() {
	endpoint, stop := exampleBroker() // yours: run_broker --broker ipc:///tmp/broker.sock
	defer stop()

	c, err := client.Connect(endpoint)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	// Acknowledged means that every in-sync node has it.
	if err := c.Set("user:1", []byte("Ada")); err != nil {
		log.Fatal(err)
	}
	// For one call, do not wait for all of them; and let it expire.
	if err := c.Set("session:1", []byte("token"), client.WaitAll(false), client.Expire(30*time.Minute)); err != nil {
		log.Fatal(err)
	}

	value, found, err := c.Get("user:1")
	fmt.Printf("%s %v %v\n", value, found, err)

	existed, err := c.Remove("user:1")
	fmt.Println(existed, err)

	reply, err := c.Do("INCRBY", "visits", "5")
	if client.Uncertain(err) {
		log.Print("it may or may not have been counted")
	}
	fmt.Println(reply.Int, err)

	// Sent again until it is answered, and counted once: it carries an id by which it is known.
	reply, err = c.DoOnce("INCRBY", "visits", "1")
	fmt.Println(reply.Int, err)

	// Output:
	// Ada true <nil>
	// true <nil>
	// 5 <nil>
	// 6 <nil>
}

func exampleBroker() (endpoint string, stop func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	transport, err := zmq.New(zmq.Options{})
	if err != nil {
		log.Fatal(err)
	}
	router, err := transport.Bind("ipc://" + filepath.Join(dir, "broker.sock"))
	if err != nil {
		log.Fatal(err)
	}
	b := clienttest.Serve(router, nil)
	return b.Endpoint(), func() {
		b.Stop()
		transport.Close()
		os.RemoveAll(dir)
	}
}
