module tocsin/openapi

go 1.26.0
