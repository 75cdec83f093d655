FROM python:3.13-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md ./
COPY audience audience
COPY cli cli
COPY client client
COPY console console
COPY consumer consumer
COPY ledger ledger
COPY producer producer
COPY providers providers
COPY sandbox sandbox
COPY schemas schemas
COPY streams streams
RUN python -m venv /opt/audience && /opt/audience/bin/pip install --no-cache-dir -c constraints.txt . './client[files]'

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 audience
COPY --from=build /opt/audience /opt/audience
ENV PATH=/opt/audience/bin:$PATH
USER audience
WORKDIR /home/audience
ENTRYPOINT ["audience"]
