// Go's net/http, which tells how it has read each request. It prints its port.
package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

func echo(response http.ResponseWriter, request *http.Request) {
	content, err := io.ReadAll(request.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	response.Header().Set("Echo", fmt.Sprintf("%x,%x,%d,%s", request.Method, request.RequestURI,
		request.ProtoMinor, hex.EncodeToString(content)))
	response.Header().Set("Content-Length", "0")
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.SetOutput(io.Discard)
	log.Fatal(http.Serve(listener, http.HandlerFunc(echo)))
}
