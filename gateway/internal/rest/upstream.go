package rest

import (
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"tocsin/gateway/internal/problem"
)

// stalled is a client that has sent nothing for so long after its call has ended.
const stalled = 2 * time.Second

// Upstream gives the answer to a call into which a body goes. send hands the body on, and gives what is wrong with the body, or
// io.EOF when the call takes nothing more (as its Send does). A service that has enough of a client ends the call early: then
// the body is not waited for, however long the client keeps it open, and the service's error is what counts.
func Upstream[Request, Answer any](w http.ResponseWriter, call grpc.ClientStreamingClient[Request, Answer], send func() error) (*Answer, error) {
	control := http.NewResponseController(w)
	answer, sent, ended := new(Answer), make(chan struct{}), make(chan error, 1)
	done, cut := make(chan struct{}), false
	go func() {
		defer close(done)
		ended <- call.RecvMsg(answer)
		select {
		case <-sent:
		default:
			// A client that sends is met at its next bytes, and the rest of its body is read over as of any that is refused.
			cut = control.SetReadDeadline(time.Now().Add(stalled)) == nil
		}
	}()
	broken := send()
	close(sent)
	if broken == nil {
		_ = call.CloseSend() // what is wrong with the call its answer tells
	}
	early := errors.Is(broken, io.EOF)
	if broken != nil && !early {
		select {
		case err := <-ended: // the body was cut by us
			ended <- err
		default:
			return nil, broken
		}
	}
	err := <-ended
	if <-done; cut {
		_ = control.SetReadDeadline(time.Time{})
	}
	if err == nil && broken != nil {
		err = problem.New(http.StatusBadGateway, problem.Internal, "The service ended the upload before the file's end.")
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}
